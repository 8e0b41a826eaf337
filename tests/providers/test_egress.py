"""Where the gateway may fetch from: hostile addresses, and a trap on loopback that must see nobody."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from providers.base.egress import Egress, GuardedResolver, is_public, place
from providers.base.errors import AddressRefused, OutputRefused, ProviderError
from providers.base.exchange import Fetch
from providers.base.wire import Wire
from tests.upstreams.server import Upstream, opened, reply

INWARD_V4 = """
127.0.0.1 127.0.0.2 127.1.1.1 127.255.255.254 0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.1 10.255.255.255 172.16.0.1
172.31.255.255 192.168.0.1 192.168.255.255 169.254.169.254 169.254.0.1 169.254.170.2 100.64.0.1 100.100.100.200
100.127.255.255 192.0.0.1 192.0.0.192 192.0.2.1 198.51.100.7 203.0.113.9 198.18.0.1 198.19.255.255 192.88.99.1
224.0.0.1 224.0.0.251 233.252.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
""".split()
INWARD_V6 = """
:: ::1 ::2 ::127.0.0.1 ::10.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:7f00:1 ::ffff:0:0
::ffff:100.64.0.1 ::ffff:224.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe
64:ff9b:1::1 64:ff9b:1::8.8.8.8 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:0:7f00:1::1 2001:2::1
2001:10::1 2001:20::1 2001:db8::1 2001:db8:ffff::1 2002:7f00:1:: 2002:a00:1::1 2002:a9fe:a9fe::1 2002:808:808::1
3fff::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fdff:ffff::1 fe80::1 fe80::a9fe:a9fe fec0::1 feff::1
ff00::1 ff02::1 ff02::fb ff0e::1 4000::1 8000::1 2606:4700::5efe:a00:1 2606:4700::200:5efe:7f00:1 0:0:0:0:0:0:0:1
0000:0000:0000:0000:0000:ffff:7f00:0001
""".split()
SPELLINGS = """
2130706433 0x7f000001 0x7f.1 0x7f.0.0.1 0x7F.0x0.0x0.0x1 0177.0.0.1 0177.1 0177.0.0.01 017700000001 127.1 127.0.1 127.
127.0.0.1. 127.0.0.1.. 127.00.0.1 127.0.0.01 127.0.0.0x1 127.0.0 127.0.0.1.1 127.0.0.256 0 0x 0x0 00 1 10.1 10.0.1
0xa.1 012.1 3232235521 0xc0a80001 0300.0250.0.1 192.168.1 2852039166 0xa9fea9fe 0xa9.0xfe.0xa9.0xfe 0251.0376.0251.0376
169.16689662 169.254.43518 0xa9.254.0251.254 4294967295 4294967296 99999999999 8.8.8 8.8 134744072 0x8.0x8.0x8.0x8
008.8.8.8 8.8.8.8. 1.1 example.1 example.0x1 a.127 metadata.0x7f
""".split()
NAMES = """
localhost LOCALHOST Localhost localhost. localhost.. a.localhost localhost.localdomain metadata kubernetes router
metadata.google.internal METADATA.GOOGLE.INTERNAL metadata.google.internal. instance-data.ec2.internal db.local
printer.local. nas.home.arpa vpn.lan wiki.intranet a..example.com .example.com example..com example.com. -a.example.com
a-.example.com example.-com * *.example.com
""".split()
ODD = [
    # Whom does this name? Two parsers, two answers.
    *("https://example.com@127.0.0.1/ https://127.0.0.1@example.com/ https://user:pw@example.com/ https://@example.com/"
    " https://:@example.com/ https://example.com:80@127.0.0.1/ https://example.com%40127.0.0.1/"
    " https://example.com%2f@127.0.0.1/ https://127.0.0.1%00.example.com/ https://127.0.0.1%2eexample.com/"
    " https://%31%32%37.0.0.1/ https://%6c%6f%63%61%6c%68%6f%73%74/ https://example.com\\@127.0.0.1/"
    " https://example.com\\.evil.com/ https:\\\\example.com\\ https:/\\example.com/ https://example.com\\/x"
    " https:///example.com/ https:////example.com/ https:/example.com/ https:example.com https:// https://?x https://#x"
    " https://:443/ https://example.com:/ https://example.com:0/ https://example.com:65536/ https://example.com:99999/"
    " https://example.com:-1/ https://example.com:+443/ https://example.com:0x50/ https://example.com:443:443/"
    " https://example.com:4४3/ https://[::1 https://::1/ https://[::1]x/ https://[::1].example.com/ https://[127.0.0.1]/"
    " https://[v1.fe]/ https://[]/ https://[fe80::1%25eth0]/ https://[fe80::1%eth0]/ https://[::1%25lo]/ https://[:::1]/"
    " https://[1::2::3]/ https://[12345::]/ https://[::ffff:127.1]/ https://[::ffff:0177.0.0.1]/ //example.com/"
    " example.com /etc/passwd http://example.com/ HTTP://example.com/ ftp://example.com/ file:///etc/passwd"
    " file://example.com/etc/passwd gopher://example.com/ data:text/plain,x javascript:alert(1) blob:https://example.com/"
    " ws://example.com/ wss://example.com/ httpss://example.com/ unix:///run/x.sock jar:https://example.com!/"
    " https://exam_ple!.com/ https://example.com,evil.com/ https://example.com;evil/ https://a&b.com/ https://a=b.com/").split(" "),
    *("", " ", "https://example.com /", " https://example.com/", "https://example.com/ ", "https://exam ple.com/",
      "https://example.com/\t", "https://exam\tple.com/", "ht\ntps://example.com/", "https://127.0.0.1\r\n.example.com/",
      "https://example.com/\r\nHost: x", "https://example.com/\0", "\x01https://example.com/", "https://example.com\x7f/",
      "https://example.com/\u00e9", "https://\u212aample.com/", "https://ex\u00e4mple.com/", "https://\u24db\u24de\u24d2alhost/",
      "https://127\u30020\u30020\u30021/", "https://127\uff0e0\uff0e0\uff0e1/", "https://127\uff610\uff610\uff611/",
      "https://\u2460\u2461\u2466.0.0.1/", "https://\u0661\u0662\u0667.0.0.1/", "https://\uff11\uff12\uff17.0.0.1/",
      "https://\u0967\u0968\u096d.0.0.1/", "https://example\u200b.com/", "https://example\u00ad.com/", "https://example.com\u2044x/",
      "https://example.com\uff0f@x/", "https://example.com\u2100/", "https://\ud800.com/", "https://example.com/\ufeff",
      "https://example.com/" + "a" * 8192, "https://" + "a" * 64 + ".com/", "https://" + "a." * 130 + "com/"),
]  # fmt: skip
HOSTILE = [
    *(f"https://{ip}/" for ip in INWARD_V4),
    *(f"https://{ip}:8443/x?y#z" for ip in INWARD_V4[::3]),
    *(f"https://[{ip}]/" for ip in INWARD_V6),
    *(f"https://{host}/" for host in SPELLINGS),
    *(f"https://{host}/" for host in NAMES),
    *ODD,
]
FINE = """
https://example.com https://example.com/ https://example.com:8443/a/b?c=d&e=%2F#f https://EXAMPLE.com/ HTTPS://example.com/
https://a.b-c.example.com/x@y https://bucket_1.example.com/ https://xn--exmple-cua.com/ https://8.8.8.8/ https://1.1.1.1:1/
https://[2606:4700:4700::1111]/ https://[2001:4860:4860::8888]:65535/ https://example.com?q=//127.0.0.1/ https://0x.example/
https://[64:ff9b::808:808]/ https://[::ffff:8.8.8.8]/ https://127.0.0.1.example.com/ https://d111.cdn.example/o.mp4?_jwt=a.b-c_d
https://172.32.0.1/ https://100.128.0.1/ https://11.0.0.1/ https://mylocalhost.example/ https://internal.example/
""".split()


def test_the_tables_are_large() -> None:
    assert len(set(HOSTILE)) > 250


@pytest.mark.parametrize("url", HOSTILE, ids=ascii)
def test_a_hostile_address_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        Egress().check_url(url)
    assert refused.value.status == 400
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("url", FINE)
def test_an_ordinary_address_is_taken_and_read_as_the_client_reads_it(url: str) -> None:
    Egress().check_url(url)
    read = URL(url, encoded=True)
    assert place(url) == (read.scheme, (read.raw_host or "").lower(), read.port)


def test_what_is_taken_is_what_the_client_connects_to() -> None:
    """Every mix of odd pieces that is taken names the same host to both."""
    pieces = ["example.com", "127.0.0.1", "@", ":", "[::1]", "%40", "/", "\\", "?", "#", "0x7f", ".", "8.8.8.8"]
    for mix in itertools.product(pieces, repeat=3):
        url = f"https://{''.join(mix)}"
        try:
            Egress().check_url(url)
        except AddressRefused:
            continue
        assert (URL(url, encoded=True).raw_host or "").lower() == place(url).host, url


@pytest.mark.parametrize("ip", [*INWARD_V4, *INWARD_V6, "fe80::1%eth0", "2606:4700::1%1", "nonsense", "", "127.1", "1"])
def test_a_name_that_leads_inward_is_refused(ip: str) -> None:
    with pytest.raises(AddressRefused, match=r"rebound\.example"):
        Egress().check_address("rebound.example", ip, 443)


def test_public_addresses_are_public() -> None:
    Egress().check_address("example.com", "93.184.216.34")
    Egress().check_address("example.com", "2606:2800:220:1:248:1893:25c8:1946")
    assert is_public(ip_address("2606:4700:4700::1111"))


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("files.internal", "http://files.internal/x"),
        ("FILES.internal", "http://files.INTERNAL:9000/x"),
        ("*.corp.example", "http://a.corp.example/"),
        ("*.corp.example", "http://a.b.corp.example/"),
        ("localhost", "http://localhost:1/"),
        ("127.0.0.0/8", "http://127.9.9.9/"),
        ("127.0.0.1", "http://127.0.0.1:8080/"),
        ("10.0.0.0/8", "https://10.1.2.3/"),
        ("10.0.0.0/8", "https://[::ffff:10.1.2.3]/"),
        ("::1", "http://[::1]:8080/"),
        ("[::1]", "http://[::1]:8080/"),
        ("fd00::/8", "https://[fd00::7]/"),
    ],
)
def test_the_operator_may_open_a_host(allow: str, url: str) -> None:
    Egress(allow=[allow]).check_url(url)
    with pytest.raises(AddressRefused):
        Egress().check_url(url)


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("*.corp.example", "http://corp.example/"),
        ("*.corp.example", "http://notcorp.example/"),
        ("*.corp.example", "http://a.corp.example.evil.com/"),
        ("127.0.0.1", "http://127.0.0.2/"),
        ("127.0.0.1", "http://127.1/"),
        ("127.0.0.0/8", "http://2130706433/"),
        ("10.0.0.0/8", "http://example.com/"),
        ("localhost", "http://localhost./"),
        ("localhost", "http://user@localhost/"),
        ("0.0.0.0/0", "https://[::1]/"),
    ],
)
def test_what_is_opened_opens_nothing_else(allow: str, url: str) -> None:
    with pytest.raises(AddressRefused):
        Egress(allow=[allow]).check_url(url)


@pytest.mark.parametrize(
    ("trusted", "url", "fine"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/x", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8081/x", False),
        ("127.0.0.1:8080", "http://127.0.0.1/x", False),
        ("media.internal", "http://media.internal/x", True),
        ("media.internal", "https://media.internal/x", True),
        ("media.internal", "https://media.internal:8443/x", False),
        ("Media.Internal:8443", "https://media.internal:8443/x", True),
        ("media.internal", "https://a.media.internal/x", False),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("::1", "http://[::1]/", True),
        ("[::1]", "http://[::1]/", True),
        ("[::1]:8080", "http://[::1]:8081/", False),
    ],
)
def test_a_deployment_s_own_server_is_trusted_exactly(trusted: str, url: str, fine: bool) -> None:
    egress = Egress(trusted={trusted})
    if fine:
        egress.check_url(url)
    else:
        with pytest.raises(AddressRefused):
            egress.check_url(url)


def test_an_allowed_network_opens_names_that_lead_there() -> None:
    Egress(allow=["10.1.0.0/16", "other.example"]).check_address("files.example", "10.1.2.3", 443)
    Egress(allow=["files.example"]).check_address("files.example", "10.9.2.3", 443)
    Egress(trusted=["files.example:9000"]).check_address("files.example", "10.9.2.3", 9000)
    for port in (443, None):
        with pytest.raises(AddressRefused):
            Egress(trusted=["files.example:9000"]).check_address("files.example", "10.9.2.3", port)


def test_equal_policies_are_equal() -> None:
    assert Egress(["b", "a"], ["x"]) == Egress(("a", "B"), {"X"})
    assert hash(Egress(["b", "a"], ["x"])) == hash(Egress(("a", "B"), {"X"}))
    assert Egress(["a"]) != Egress()


@pytest.mark.parametrize(
    ("location", "to"),
    [
        ("/b?c", "https://example.com/b?c"),
        ("d", "https://example.com/a/d"),
        ("//other.example/x", "https://other.example/x"),
        ("https://other.example/", "https://other.example/"),
    ],
)
def test_a_redirect_is_followed_as_browsers_do(location: str, to: str) -> None:
    assert Egress().follow("https://example.com/a/b", location) == to


@pytest.mark.parametrize("location", [*HOSTILE, "//127.0.0.1/", "//user@example.com/", "/\t/127.0.0.1/", "\\\\127.0.0.1\\", "//[::1"], ids=ascii)  # fmt: skip
def test_a_redirect_to_a_hostile_address_is_refused(location: str) -> None:
    relative = {"example.com", "/etc/passwd", "https:example.com", "https:/example.com/", "//example.com/"}
    # With an empty authority ("https:///x") the rules of references keep the present one.
    try:
        target = Egress().follow("https://example.com/a", location)
    except AddressRefused:
        return
    assert (
        location in relative
        or location.startswith(("https:///", "https:////", "https://?", "https://#"))
        or location == "https://"
    )
    assert place(target).host == "example.com"


# What reaches a socket.


class Names(AbstractResolver):
    """A resolver that gives one answer after another, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        kinds = [socket.AF_INET6 if ":" in ip else socket.AF_INET for ip in answer]
        return [
            ResolveResult(hostname=host, host=ip, port=port, family=kind, proto=0, flags=0)
            for ip, kind in zip(answer, kinds, strict=True)
        ]

    async def close(self) -> None:
        self.closed = True


class Stuck(Names):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
async def trap() -> AsyncIterator[Upstream]:
    """A listener on loopback that nobody may reach."""
    async with Upstream(reply(200, b"secret")) as upstream:
        yield upstream
        assert not upstream.connections
        assert not upstream.requests


async def refused(wire: Wire, egress: Egress, url: str) -> OutputRefused:
    with pytest.raises(OutputRefused) as caught:
        await wire.download(Fetch(url, egress, cap=100, vendor="Vendor"))
    assert caught.value.status == 502
    return caught.value


async def test_no_hostile_address_reaches_the_trap(trap: Upstream) -> None:
    port = trap.port
    hosts = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0", "localhost", "[::ffff:127.0.0.1]"]
    async with opened() as wire:
        for host, scheme in itertools.product(hosts, ("http", "https")):
            await refused(wire, Egress(), f"{scheme}://{host}:{port}/")
            await refused(wire, Egress(), f"{scheme}://example.com@{host}:{port}/")


async def test_a_name_that_resolves_inward_reaches_nothing(trap: Upstream) -> None:
    for answer in (["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["10.0.0.1"]):
        names = Names(answer)
        async with opened(resolver=names) as wire:
            error = await refused(wire, Egress(), f"https://cdn.example:{trap.port}/")
        assert "cdn.example" in str(error)
        assert "127.0.0.1" not in str(error)
        assert names.asked == 1
        assert names.closed


async def test_a_redirect_inward_reaches_nothing(trap: Upstream) -> None:
    """The first host is allowed, as a public one would be; the next is not."""
    locations = [
        trap.url("/"),
        trap.url("/", "https"),
        f"//127.0.0.1:{trap.port}/",
        f"http://localhost:{trap.port}/",
        f"http://2130706433:{trap.port}/",
        f"http://[::ffff:127.0.0.1]:{trap.port}/",
        f"http://127.0.0.2@127.0.0.1:{trap.port}/",
    ]
    for location in locations:
        async with Upstream(reply(302, location=location), host="127.0.0.2") as public, opened() as wire:
            await refused(wire, Egress(allow=["127.0.0.2"]), public.url())
            assert len(public.requests) == 1


async def test_the_checked_address_is_the_one_connected_to() -> None:
    """A name that answers with an allowed address first, and with loopback at every later look."""
    reached: list[str] = []

    def listener(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reached.append(name)
            await reader.read(1)  # of the TLS hello
            writer.close()

        return hang_up

    public = await asyncio.start_server(listener("public"), "127.0.0.2", 0)
    port = public.sockets[0].getsockname()[1]
    trap = await asyncio.start_server(listener("trap"), "127.0.0.1", port)
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    url, egress = f"https://re.example:{port}/", Egress(allow=["127.0.0.2"])
    async with opened(resolver=names) as wire:
        with pytest.raises(ProviderError) as caught:
            await wire.download(Fetch(url, egress, cap=100))
        assert (caught.value.sent, names.asked, reached) == ("no", 1, ["public"])
    async with opened(resolver=names) as wire:
        await refused(wire, egress, url)
    assert (names.asked, reached) == (2, ["public"])
    public.close()
    trap.close()


async def test_a_kept_connection_serves_its_own_policy_only() -> None:
    """What one deployment trusts, another's output must not reach over a connection that is still open."""
    async with Upstream(reply(200, b"fine")) as own, opened(resolver=Names(["127.0.0.1"])) as wire:
        where = f"own.example:{own.port}"
        mine = Egress(trusted=[where])
        assert (await (await wire.download(Fetch(f"http://{where}/", mine, cap=100))).reply()).body == b"fine"
        await refused(wire, Egress(), f"https://{where}/")
        await refused(wire, Egress(trusted=["other.example"]), f"http://{where}/")
        with pytest.raises(ProviderError):
            await wire.download(Fetch(f"https://{where}/", Egress(trusted=["own.example:1"]), cap=100))
        assert len(own.requests) == own.connections == 1


async def test_a_caller_s_address_is_the_caller_s_fault(trap: Upstream) -> None:
    async with opened() as wire:
        with pytest.raises(AddressRefused) as caught:
            await wire.download(Fetch(trap.url(), Egress(), cap=100, param="image_url"))
    assert (caught.value.status, caught.value.param, caught.value.sent) == (400, "image_url", "no")


async def test_a_lookup_takes_no_longer_than_it_may() -> None:
    with pytest.raises(TimeoutError):
        await GuardedResolver(Egress(), Stuck(), seconds=0.01).resolve("example.com", 443)


async def test_without_a_policy_a_lookup_is_not_checked() -> None:
    found = await GuardedResolver(None, Names(["127.0.0.1"])).resolve("vendor.example", 443)
    assert [each["host"] for each in found] == ["127.0.0.1"]
