"""Tasks at a vendor, on behalf of a caller: submitted once, waited for, their outputs kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from gateway.blobs.store import Blob, BlobStore
from gateway.config import Config
from gateway.errors import InvalidRequest, TaskFailed, Timeout, UnknownModel
from gateway.ids import ordered
from gateway.jobs.errors import INTERRUPTED, UNKNOWN, StoreError, UnknownJob
from gateway.jobs.job import Job, State
from gateway.jobs.worker import Jobs
from gateway.ledger.book import Book
from gateway.ledger.cost import total
from gateway.ledger.quote import quoted
from gateway.policy.attempts import Wishes
from gateway.record import Record
from gateway.services.admission import Admission, Admitted
from gateway.services.asking import Asker, Kind, Turn
from gateway.services.caller import Caller
from gateway.services.deployments import Deployment
from gateway.services.handing import Handing
from gateway.services.options import fit, tasks_of
from gateway.services.served import Served
from gateway.services.webhooks import Webhooks
from providers.base.contract import MediaRequest, Patient, TaskProvider, TaskRequest
from providers.base.errors import ProviderError

_log = logging.getLogger(__name__)

SWEEP_SECONDS = 3600

TEMPO = "tempo"
"""In the rows of speech: how much faster than its sound it is to be played."""

WATCH_SECONDS = 7 * 86_400
"""For how long a task that fails is given back to the key that made it."""

# What is kept beside an output, under its key and this: conversions of a picture, pictures of a film.
_FORMS: Mapping[str, Sequence[str]] = {
    "image": ("", "_png", "_jpeg", "_webp"),
    "video": ("", "_thumbnail", "_spritesheet"),
    "speech": ("",),
}


def nothing(job: Job) -> bool:
    """Whether the job surely came to nothing and cost nothing: it was never sent, or no provider took it."""
    return job.fault is not None and job.task is None and job.fault.code != UNKNOWN.code


@dataclass(frozen=True, slots=True)
class Submission:
    """The tasks of one call, and who has them."""

    jobs: tuple[Job, ...]
    served: Served


@dataclass(frozen=True, slots=True)
class Kept:
    """Where tasks, what they made, and what they cost are kept."""

    jobs: Jobs
    blobs: BlobStore
    book: Book


class TaskService:
    """What the image, video and speech use-cases share."""

    def __init__(
        self,
        asker: Asker,
        admission: Admission,
        kept: Kept,
        config: Config,
        webhooks: Webhooks,
    ) -> None:
        self._asker = asker
        self.admission = admission
        self._jobs = kept.jobs
        self.store = kept.jobs.store
        self.blobs = kept.blobs
        self._book = kept.book
        self._webhooks = webhooks
        self._watched: set[asyncio.Task[None]] = set()
        self._settings = config.general
        self._drop_params = config.litellm.drop_params
        self.handing = Handing(kept.jobs.crew)
        sweeps = kept.jobs.crew is None or kept.jobs.crew.leads
        self._sweeping = asyncio.create_task(self._sweep_always()) if sweeps else None

    async def close(self) -> None:
        """Stop looking for what has expired, and for what fails; wait for submissions under way."""
        watching = [task for task in (self._sweeping, *self._watched) if task is not None]
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, *self.handing.under_way(), return_exceptions=True)

    async def submit(
        self, model: str, kind: Kind, requests: Sequence[TaskRequest], shown: Mapping[str, Any], caller: Caller
    ) -> Submission:
        """The tasks of ``requests`` (``tasks_of`` each), at the first deployment of ``model`` that takes them.

        A retry is joined to the tasks of the first try. ``shown`` are the fields of the call that are shown again.
        Raises ``UnknownModel``, ``InvalidRequest`` or the ``ProviderError`` of the last deployment asked.
        """
        if (joined := await self.joined(caller, shown)) is not None:
            return joined
        about = (shown, caller)
        return await self.admitted(
            model,
            requests,
            about,
            lambda: self._asker.first(
                model, kind, (caller.record, caller.wishes), lambda turn: self.submit_to(turn, kind, requests, about)
            ),
        )

    async def admit(self, caller: Caller, model: str, requests: Sequence[MediaRequest]) -> Admitted:
        """What ``Admission.admit`` returns; for the models that the call names to fall back to, too.

        Whoever only asks for the price uses nothing.
        """
        who = caller.record.who
        others = caller.wishes.fallbacks or ()
        if caller.dry_run:
            self.admission.check_models(who, model, *others)
            return Admitted(None)
        return await self.admission.admit(who, model, requests, others)

    async def admitted(
        self,
        model: str,
        requests: Sequence[TaskRequest],
        about: tuple[Mapping[str, Any], Caller],
        submit: Callable[[], Awaitable[Submission]],
    ) -> Submission:
        """``submit``, if the caller's key may and can pay for it. Raises what ``Admission.admit`` raises.

        ``about``: what is shown again, and who asks.
        """
        shown, caller = about
        async with await self.admit(caller, model, requests) as admitted, self.handing.alone(caller):
            # Budgets may have been waited for: another try of this call may have been handed over meanwhile.
            if (joined := await self.joined(caller, shown)) is not None:
                admitted.release()
                return joined
            with self.handing.all_attempts(caller.fingerprint):
                submission = await submit()
            if all(job.state is State.COMPLETED for job in submission.jobs):
                cost = total(caller.record.charges.get(job.id) for job in submission.jobs)
                admitted.book(cost, caller.record.writing)
                return submission
        if admitted.counts:  # it is paid when it is taken, and corrected when it has ended
            for job in submission.jobs:
                task = asyncio.create_task(self._corrected(job.id, caller.record, admitted, 1 / len(submission.jobs)))
                self._watched.add(task)
                task.add_done_callback(self._watched.discard)
        return submission

    async def submit_again(
        self,
        job: Job,
        kind: Kind,
        requests: Sequence[TaskRequest],
        paid: Sequence[TaskRequest],
        about: tuple[Mapping[str, Any], Caller],
    ) -> Submission:
        """As ``submit``, at the deployment that made ``job`` and nowhere else. ``paid``: what budgets need room for."""
        shown, caller = about
        if (joined := await self.joined(caller, shown)) is not None:
            return joined
        call = (caller.record, Wishes(num_retries=caller.wishes.num_retries, timeout=caller.wishes.timeout))
        return await self.admitted(
            job.model,
            paid,
            about,
            lambda: self._asker.first(
                job.model, kind, call, lambda turn: self.submit_to(turn, kind, requests, about), only=job.deployment
            ),
        )

    def holder(self, job: Job) -> Deployment | None:
        """The deployment that made a job, where it is configured still."""
        with contextlib.suppress(UnknownModel):
            return next((each for each in self._asker.group(job.model) if each.key == job.deployment), None)
        return None

    async def joined(self, caller: Caller, shown: Mapping[str, Any]) -> Submission | None:
        """The tasks of the first try, where this call is a retry of it and the first try came to anything.

        ``None``: hand it over now, with nothing waited for in between. Raises ``InvalidRequest`` where the
        ``Idempotency-Key`` belongs to another call.
        """
        if not caller.retry or caller.dry_run:
            return None
        fingerprint = caller.fingerprint
        found: Sequence[Job] | None = None
        while True:
            # One that is being handed over may be refused yet, and be handed to the next deployment.
            await self.handing.over(fingerprint)
            before = found
            found = await self.store.same(fingerprint, time.time() - caller.join)
            if self.handing.busy(fingerprint):
                continue
            if all(map(nothing, found)):
                return None
            if found == before:  # else it may have been handed over, and refused, while this was read
                break
        if {**found[0].request, TEMPO: None} != {**shown, TEMPO: None}:
            raise InvalidRequest(
                "This Idempotency-Key was used for another call. Give each call a key of its own.",
                code="idempotency_key_reused",
            )
        first = found[0]
        served = Served(first.model, first.deployment.partition("/")[0], deployment=first.deployment)
        caller.record.batch, caller.record.joined = first.batch, True
        caller.record.served_by(served.model, served.deployment, served.provider)
        return Submission(tuple(found), served)

    async def submit_to(
        self, turn: Turn, kind: Kind, requests: Sequence[TaskRequest], about: tuple[Mapping[str, Any], Caller]
    ) -> Submission:
        """The same at one deployment. ``about``: what is shown again, and who asks.

        Goes on to its end when the caller is cancelled, or rows could be left that nobody hands over.
        """
        task = asyncio.create_task(self._submit_to(turn, kind, requests, about))
        return await self.handing.wait_for(about[1].fingerprint, task)

    async def _submit_to(
        self, turn: Turn, kind: Kind, requests: Sequence[TaskRequest], about: tuple[Mapping[str, Any], Caller]
    ) -> Submission:
        shown, caller = about
        deployment = turn.deployment
        # Only those that make tasks are asked for one.
        provider, entry = cast("TaskProvider", deployment.provider), deployment.entry
        drop = self._drop_params if entry.drop_params is None else entry.drop_params
        requests = [task for request in requests for task in tasks_of(provider, request)]
        fitting, dropped, adjusted = fit(provider, requests, entry.additional_drop_params, drop)
        if caller.dry_run:
            raise quoted(entry, deployment.price, fitting)
        made = _rows(turn, kind, len(fitting), shown, caller)
        await self._webhooks.expect(made)
        await self.store.add(made)  # every row, before the first is sent
        caller.record.served_by(turn.group, deployment.key, entry.vendor)
        caller.record.asks()
        tasks = list(zip(made, fitting, strict=True))
        await self._book.open(caller.record, deployment.price, tasks)
        sending = [
            self._jobs.hand_over(job, self._book.metered(provider, job, deployment.price), each, added=True)
            for job, each in tasks
        ]
        results: Sequence[Job | BaseException]
        try:  # most calls have one task, and what hands it over is running already
            single = len(sending) == 1
            results = [await sending[0]] if single else await asyncio.gather(*sending, return_exceptions=True)
        except BaseException:
            await self._webhooks.forget(made)
            raise
        failures = [result for result in results if isinstance(result, BaseException)]
        submitted = tuple(result for result in results if isinstance(result, Job))
        if failures:
            if submitted:
                turn.commit()  # a part of it was taken: another try would pay for that again
            for job in submitted:  # the call fails as a whole: what was taken of it is not left to run
                with contextlib.suppress(ProviderError):
                    await self._jobs.cancel(job)
            await self._webhooks.forget(made)
            # What nobody else may be asked after comes first: an unknown outcome, then anything that is no refusal.
            raise min(failures, key=lambda each: (isinstance(each, ProviderError), getattr(each, "falls_back", False)))
        await self._webhooks.began(submitted)
        return Submission(submitted, turn.served(dropped, adjusted))

    async def finished(self, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """Wait for all of them; where one of them fails, the others are cancelled.

        Raises ``TaskFailed``, or ``Timeout`` after ``task_timeout`` seconds, or as many as the provider says.
        A waiter who is cancelled (his client has gone) leaves the tasks running, or cancels them where the config says
        ``on_disconnect: cancel``.
        """
        if all(job.state is State.COMPLETED for job in jobs):
            return tuple(jobs)
        provider = self._jobs.provider_of(jobs[0])
        patience = provider.patience if isinstance(provider, Patient) else None
        seconds = self._settings.task_timeout if patience is None else patience
        waits = [asyncio.create_task(self._ended(job.id, seconds)) for job in jobs]
        try:
            async with asyncio.timeout(seconds):
                for wait in asyncio.as_completed(waits):
                    if (await wait).state is not State.COMPLETED:
                        break
                else:
                    return tuple(wait.result() for wait in waits)
        except TimeoutError:
            ids = ", ".join(job.id for job in jobs)
            raise Timeout(f"Not done after {seconds:g} s; the task goes on ({ids}).") from None
        except asyncio.CancelledError:
            if self._settings.on_disconnect == "cancel":
                await asyncio.shield(self._cancel_all(jobs))
            raise
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        await asyncio.shield(self._cancel_all(jobs))
        rows = [row for job in jobs if (row := await self.store.get(job.id)) is not None]
        fault = next((row.fault for row in rows if row.fault is not None), None)
        if fault == INTERRUPTED and not all(map(nothing, rows)):
            fault = UNKNOWN  # the others of the call were sent: nobody is told that it may be repeated
        if fault is not None:
            raise TaskFailed(fault)
        raise InvalidRequest("The task was cancelled.", code="cancelled")

    async def cancel(self, job: Job) -> Job:
        """Stop one task at its vendor."""
        return await self._jobs.cancel(job)

    async def forget(self, job: Job) -> None:
        """Remove a job that has ended, with its outputs."""
        for key in job.outputs:
            for form in _FORMS[job.kind]:
                await self.blobs.remove(key + form)
        await self.store.remove(job.id)

    async def output(self, job: Job, place: int = 0) -> Blob | None:
        """One of a job's outputs, if it is kept still."""
        return await self.blobs.get(job.outputs[place]) if place < len(job.outputs) else None

    async def sweep(self) -> None:
        """Forget what has expired."""
        while expired := await self.store.expired(time.time(), 100):
            for job in expired:
                await self.forget(job)

    async def _sweep_always(self) -> None:
        while True:
            try:
                await self.sweep()
            except (StoreError, OSError):
                _log.exception("expired outputs could not be removed")
            await asyncio.sleep(SWEEP_SECONDS)

    async def _corrected(self, job_id: str, record: Record, admitted: Admitted, part: float) -> None:
        """Wait for the end of a job: one that failed has used nothing. A cancelled one was paid for all the same.

        What it cost is known now.
        """
        with contextlib.suppress(UnknownJob, StoreError, TimeoutError):
            failed = (await self._ended(job_id, WATCH_SECONDS)).state is State.FAILED
            await admitted.correct(part, used=not failed, cost=record.charges.get(job_id))

    async def _ended(self, job_id: str, seconds: float) -> Job:
        """As ``Jobs.wait``; what it cost is known then, whoever has looked at it."""
        job = await self._jobs.wait(job_id, seconds)
        if self._jobs.crew is not None:
            await self._book.learn(job_id)
        return job

    async def _cancel_all(self, jobs: Sequence[Job]) -> None:
        rows = [await self.store.get(job.id) for job in jobs]
        await asyncio.gather(*(self._jobs.cancel(row) for row in rows if row is not None))


def _rows(turn: Turn, kind: Kind, count: int, shown: Mapping[str, Any], caller: Caller) -> list[Job]:
    """The rows of one call's tasks, before anything is sent. A single one is about to be; of several, each says so."""
    batch = caller.record.batch = ordered()
    prefix = {"image": "img", "video": "video", "speech": "speech"}[kind]
    return [
        Job(
            id=f"{prefix}_{ordered()}",
            kind=kind,
            model=turn.group,
            deployment=turn.deployment.key,
            created=time.time(),
            owner=caller.owner,
            batch=batch,
            fingerprint=caller.fingerprint,
            request=shown,
            state=State.SUBMITTING if count == 1 else State.CREATED,
        )
        for _ in range(count)
    ]
