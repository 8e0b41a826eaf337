"""Kokoro's decoder in the form that is cheapest on a processor: the same weights, the same sums in another order.

The package keeps a channel's samples side by side. Here a moment's channels are (rows of a matrix), which is how oneDNN
likes its convolutions: 1.2 times as fast in float32, up to 15 times in bfloat16 where the processor has instructions
for it. What stands between the convolutions is folded together: normalising, the voice's style and the slopes of the
activation are one multiplication and one addition. What is added up over many layers stays in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPSILON = 1e-5  # of the instance norms
_TILE = 1 << 16  # numbers that are worked on while they are in the processor's nearest cache


class Decoder(nn.Module):  # type: ignore[misc]
    """Does what ``decoder`` (``kokoro.istftnet.Decoder``, its weight norms folded) does, convolving in ``kind``."""

    def __init__(self, decoder: Any, kind: torch.dtype) -> None:
        super().__init__()
        # Whether more threads make one part sooner. In bfloat16 the steps are too short: 1.4 times as long on two.
        self.spreads = kind is torch.float32
        self._styles = _Styles()
        self._pitch, self._energy = decoder.F0_conv, decoder.N_conv
        self._text = _Convolution(decoder.asr_res[0], kind)
        blocks = [decoder.encode, *decoder.decode]
        self._blocks = [(_Block(block, self._styles, kind), block.upsample_type != "none") for block in blocks]
        self._generator = _Generator(decoder.generator, self._styles, kind)
        self._styles.close()

    def forward(self, asr: Tensor, pitch: Tensor, energy: Tensor, style: Tensor) -> Tensor:
        """Sound of one utterance: ``asr`` (1, 512, T), ``pitch`` and ``energy`` (1, 2 T), ``style`` (1, 128)."""
        styles = self._styles(style)
        text = asr[0].t().contiguous()
        curves = torch.cat([self._pitch(pitch.unsqueeze(1)), self._energy(energy.unsqueeze(1))], 1)[0].t()
        beside = torch.cat([self._text(text).float(), curves], 1)
        x = torch.cat([text, curves], 1)
        with_text = False  # the first block has the text itself
        for block, is_last in self._blocks:
            x = block(torch.cat([x, beside], 1) if with_text else x, styles)
            with_text = not is_last
        return self._generator(x, styles, pitch)


class _Styles:
    """All that the voice's style sets, in one product: gain and shift of every normalisation."""

    def __init__(self) -> None:
        self._weights: list[Tensor] = []
        self._biases: list[Tensor] = []
        self._sizes: list[int] = []

    def add(self, adain: Any, slope: Tensor | float = 1.0) -> int:
        """The place of ``adain``'s gain and shift, both times ``slope``, in what a call gives."""
        weight, bias = adain.fc.weight.float(), adain.fc.bias.float()
        (gain, shift), (gain_bias, shift_bias) = weight.chunk(2), bias.chunk(2)
        # (1 + gain) * (own * x + offset) + shift, where the norm's own affine part is 1 and 0 as published.
        own, offset = adain.norm.weight.float(), adain.norm.bias.float()
        shift, shift_bias = shift + offset[:, None] * gain, shift_bias + offset * (1 + gain_bias)
        gain, gain_bias = own[:, None] * gain, own * (1 + gain_bias)
        for rows, ends in ((gain, gain_bias), (shift, shift_bias)):
            self._weights.append(rows * (slope[:, None] if isinstance(slope, Tensor) else slope))
            self._biases.append(ends * slope)
        self._sizes += [len(gain), len(shift)]
        return len(self._sizes) - 2

    def close(self) -> None:
        self._weight, self._bias = torch.cat(self._weights), torch.cat(self._biases)
        self._weights, self._biases = [], []

    def __call__(self, style: Tensor) -> Sequence[Tensor]:
        lines: Sequence[Tensor] = functional.linear(style, self._weight, self._bias)[0].split(self._sizes)
        return lines


class _Convolution:
    """One (transposed) convolution over rows. ``scale`` is for the channels that it is given."""

    def __init__(self, module: Any, kind: torch.dtype, scale: Tensor | float = 1.0) -> None:
        self._turned = isinstance(module, nn.ConvTranspose1d)
        weight = module.weight.float()
        if isinstance(scale, Tensor):
            scale = scale[:, None, None] if self._turned else scale[:, None]
        self._weight = (weight * scale)[:, :, None].to(kind).contiguous(memory_format=torch.channels_last)
        self._bias = None if module.bias is None else module.bias.to(kind)
        self._kind = kind
        self._stride, self._padding = (1, module.stride[0]), (0, module.padding[0])
        self._dilation, self._groups = (1, module.dilation[0]), module.groups
        self._more = (0, module.output_padding[0])

    def __call__(self, rows: Tensor) -> Tensor:
        image = _image(rows.to(self._kind))
        if self._turned:
            turned = functional.conv_transpose2d(
                image, self._weight, self._bias, self._stride, self._padding, self._more, self._groups, self._dilation
            )
            return _rows(turned)
        made = functional.conv2d(
            image, self._weight, self._bias, self._stride, self._padding, self._dilation, self._groups
        )
        return _rows(made)


def _image(rows: Tensor) -> Tensor:
    """A matrix as a picture of height 1 whose channels lie side by side; nothing is copied."""
    length, channels = rows.shape
    return rows.as_strided((1, channels, 1, length), (length * channels, 1, length * channels, channels))


def _rows(image: Tensor) -> Tensor:
    return image[0, :, 0].t().contiguous()  # copies only what came in another order


def _line(rows: Tensor, gain: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """What brings each channel to mean 0 and variance 1 over its length, times ``gain``, plus ``shift``.

    That is: what is to be added, and what it is multiplied by first.
    """
    mean, variance = torch.batch_norm_update_stats(_image(rows), None, None, 0.0)
    factor = gain * torch.rsqrt(variance.float() + _EPSILON)
    return torch.addcmul(shift, mean.float(), factor, value=-1), factor


def _normal(rows: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    added, factor = _line(rows, gain, shift)
    return torch.addcmul(added, rows, factor)


class _Block:
    """A residual block before the generator (``AdainResBlk1d``)."""

    def __init__(self, block: Any, styles: _Styles, kind: torch.dtype) -> None:
        self._slope = block.actv.negative_slope
        self._norms = styles.add(block.norm1), styles.add(block.norm2)
        self._doubles = block.upsample_type != "none"
        self._pool = _Convolution(block.pool, torch.float32) if self._doubles else None
        self._first, self._second = _Convolution(block.conv1, kind), _Convolution(block.conv2, kind, 1.0)
        self._shortcut = _Convolution(block.conv1x1, kind) if block.learned_sc else None

    def __call__(self, x: Tensor, styles: Sequence[Tensor]) -> Tensor:
        first, second = self._norms
        y = functional.leaky_relu_(_normal(x, *styles[first : first + 2]), self._slope)
        if self._pool is not None:
            y = self._pool(y)
        y = functional.leaky_relu_(_normal(self._first(y), *styles[second : second + 2]), self._slope)
        y = self._second(y)
        # Doubling a row and multiplying it are the same in either order, and cheaper in this one.
        x = x if self._shortcut is None else self._shortcut(x)
        x = x.repeat_interleave(2, 0) if self._doubles else x
        return (x.float() + y).mul_(0.5**0.5)


class _Waves:
    """A residual block of the generator (``AdaINResBlock1``), whose activation is x + sin(a x)^2 / a.

    With p = a x it is (p + sin(p)^2) / a: the first a goes into the normalisation, the second into the convolution.
    """

    def __init__(self, block: Any, styles: _Styles, kind: torch.dtype) -> None:
        self._steps = [
            (styles.add(norm, slope[0, :, 0]), _Convolution(convolution, kind, 1 / slope[0, :, 0]))
            for norms, slopes, convolutions in (
                (block.adain1, block.alpha1, block.convs1),
                (block.adain2, block.alpha2, block.convs2),
            )
            for norm, slope, convolution in zip(norms, slopes, convolutions, strict=True)
        ]
        self._kind = kind

    def __call__(self, x: Tensor, styles: Sequence[Tensor]) -> Tensor:
        half = len(self._steps) // 2
        total = x
        for first, second in zip(self._steps[:half], self._steps[half:], strict=True):
            y = self._step(*second, self._step(*first, total, styles), styles)
            total = total + y if total is x else total.add_(y)
        return total

    def _step(self, place: int, convolution: _Convolution, x: Tensor, styles: Sequence[Tensor]) -> Tensor:
        added, factor = _line(x, styles[place], styles[place + 1])
        y = torch.empty(x.shape, dtype=self._kind)
        few = max(1, _TILE // x.shape[1])
        for rows, out in zip(x.split(few), y.split(few), strict=True):
            p = torch.addcmul(added, rows, factor)
            wave = torch.sin(p)
            out.copy_(p.addcmul_(wave, wave))
        return convolution(y)


class _Generator:
    """From 80 frames a second to samples (``Generator``)."""

    def __init__(self, generator: Any, styles: _Styles, kind: torch.dtype) -> None:
        self._source, self._stft = generator.m_source, generator.stft
        self._spread = generator.f0_upsamp
        each = generator.num_kernels
        # The mean of the blocks is their sum here; the share goes into the next convolution.
        shares = [1.0, *[1 / each] * generator.num_upsamples]
        self._stages = [
            (
                _Convolution(up, kind, share),
                _Convolution(noise, kind),
                _Waves(noise_block, styles, kind),
                [_Waves(block, styles, kind) for block in generator.resblocks[index * each : (index + 1) * each]],
            )
            for index, (up, noise, noise_block, share) in enumerate(
                zip(generator.ups, generator.noise_convs, generator.noise_res, shares[:-1], strict=True)
            )
        ]
        # Its outcome is an exponent: what bfloat16 leaves out of it would be heard.
        self._last = _Convolution(generator.conv_post, torch.float32, shares[-1])
        self._bins = generator.post_n_fft // 2 + 1

    def __call__(self, x: Tensor, styles: Sequence[Tensor], pitch: Tensor) -> Tensor:
        hum = self._hum(pitch)
        for index, (up, noise, noise_block, blocks) in enumerate(self._stages):
            x = up(functional.leaky_relu(x, 0.1))
            if index == len(self._stages) - 1:
                x = torch.cat([x[1:2], x])
            x = noise_block(noise(hum).float(), styles).add_(x)
            x = _sum(block(x, styles) for block in blocks)
        x = self._last(functional.leaky_relu_(x))
        strength, phase = torch.exp(x[:, : self._bins]), torch.sin(x[:, self._bins :])
        sound: Tensor = self._stft.inverse(strength.t()[None], phase.t()[None])
        return sound

    def _hum(self, pitch: Tensor) -> Tensor:
        """The harmonics of the pitch with the noise of breath: strengths and phases, a row each moment."""
        source, _, _ = self._source(self._spread(pitch[:, None]).transpose(1, 2))
        return torch.cat(self._stft.transform(source.transpose(1, 2).squeeze(1)), 1)[0].t().contiguous()


def _sum(parts: Iterator[Tensor]) -> Tensor:
    total = next(parts)
    for part in parts:
        total.add_(part)
    return total
