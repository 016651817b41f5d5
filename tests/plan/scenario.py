"""Cases of allocation as text: a heading that begins with the rule, what happens, and what must be then.

    == 3.2.1 a requested address is given, though lower ones are free
    pool a 192.0.2.0/30
    put x ip=192.0.2.3
    x has 192.0.2.3 from a

What happens. Each line is planned and committed until nothing is left to do; pools and namespaces change together, up
to the next line of another kind.
    pool NAME RANGE... [manual] [buggy] [priority=N] [for=NAMESPACE,..] [for-labels=K:V] [for-services=K:V|K:V]
                       [cooling=SECONDS] [exclude=RANGE,..] [lru] [reallocate]
    no pool NAME
    namespace NAME [K:V..]
    put NAME [WORD..] [+ NAME [WORD..]]...       at once; a name that is there is edited. `put x` asks for nothing
        ports=80,53/UDP ip=A[,A] pool=P pools=P,P share=KEY local select=K:V labels=K:V cluster=A[,A] type=T class=C
        created=T conflict=quarantine|reallocate v4 v6 v4v6 v6v4 single prefer require
    delete NAME..
    restart                                      what is in the memo is gone; the ledger is there
    wait SECONDS
    class NAME                                   which services are ours, from the next line on
    reserve NAME A[,A] [POOL] / unreserve NAME   for the service of that name, whether it is there or not
    quarantine A / clear A                       some other machine answers for it / does no more

What must be then.
    NAME has ADDRESS[,ADDRESS] [from POOL] [lacking SUBJECT: REASON; ..]
    NAME waits SUBJECT: REASON; ..               all that was tried, and nothing else
    NAME has nothing                             and does not wait: it is not ours to serve
    NAME lost REASON                             by the last line: its allocation ended for this reason
    NAME kept                                    by the last line: the very same grant stands
    NAME by CAUSE                                of the grant that the last line made
    POOL counts FAMILY NAME=NUMBER ..            of its addresses, by the names of PoolCount
    grants are ADDRESS ..                        how many services are on each address, in the order of addresses
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address

from lbctl.model.node import Namespace
from lbctl.model.pool import Choice, OnConflict, Pool
from lbctl.model.reservation import Quarantine, Reservation
from lbctl.model.selector import LabelSelector
from lbctl.model.service import FamilyPolicy, Service, ServiceType, TrafficPolicy
from lbctl.plan.allocate import AllocationPlan, allocate
from lbctl.plan.counters import count
from lbctl.plan.reason import Reason
from tests.plan.allocation_worlds import V4, V6, Cluster, address_range, key, pool, service
from tests.plan.compare import compare, compare_counts


@dataclass(frozen=True, slots=True)
class Case:
    heading: str
    lines: tuple[str, ...]


def cases(text: str) -> list[Case]:
    """The cases of one table. A case that checks nothing, or a heading used twice, is a mistake in the table."""
    found: list[Case] = []
    for part in text.split("\n== ")[1:]:
        heading, *lines = [line.strip() for line in part.strip().splitlines()]
        kept = tuple(line for line in lines if line and not line.startswith("#"))
        if not any(_is_check(line) for line in kept):
            raise ValueError(f"{heading}: checks nothing")
        found.append(Case(heading, kept))
    twice = [heading for heading, times in Counter(case.heading for case in found).items() if times > 1]
    if twice or not found:
        raise ValueError(f"used twice: {twice}" if found else "no cases")
    return found


_KEPT = frozenset(("reserve", "unreserve", "quarantine", "clear"))
_CHECKS = frozenset(("has", "waits", "lost", "kept", "by", "counts", "are"))


def _is_check(line: str) -> bool:
    words = line.split()
    return len(words) > 1 and words[1] in _CHECKS and words[0] not in ("put", "pool", "no", "delete", "namespace")


class Scenario:
    """One case on its way. Each plan is compared with the dumb allocator's."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.pools: dict[str, Pool] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.waiting_config = False
        self.ours: str | None = None
        self.before = self.cluster.state.allocations
        self.lost: dict[str, Reason] = {}
        self.causes: dict[str, str] = {}

    def run(self, case: Case) -> None:
        for line in case.lines:
            try:
                self._line(line)
            except AssertionError as no:
                raise AssertionError(f"{line}\n{no}") from no
        self._settle_config()

    def _line(self, line: str) -> None:
        first, *rest = line.split()
        if first in ("pool", "no", "namespace") and not _is_check(line):
            self._config(first, rest)
            return
        self._settle_config()
        if _is_check(line):
            self._check(first, rest[0], rest[1:])
        elif first == "put":
            services = {**self.cluster.world.services}
            for text in " ".join(rest).split(" + "):
                made = service_of(text.split())
                services[made.key] = made
            self.cluster.become(services=services.values())
            self._settle()
        elif first == "delete":
            gone = {key(name) for name in rest}
            self.cluster.become(services=[s for k, s in self.cluster.world.services.items() if k not in gone])
            self._settle()
        elif first == "restart":
            self.cluster.memo = None
            self._settle()
        elif first == "wait":
            self.cluster.now += float(rest[0])
            self._settle()
        elif first == "class":
            self.ours = rest[0]
        elif first in _KEPT:
            self._remember(first, rest)
            self._settle()
        else:
            raise ValueError(f"not understood: {line}")

    def _remember(self, verb: str, words: list[str]) -> None:
        old = self.cluster.state.remembered
        reserved, quarantined = {**old.reserved}, {**old.quarantined}
        match verb:
            case "reserve":
                wanted = tuple(map(ip_address, words[1].split(",")))
                home = words[2] if len(words) > 2 else next(iter(self.pools), "")
                of = key(words[0])
                reserved[of] = Reservation(service=of, addresses=wanted, pool=home, since_unix=self.cluster.now)
            case "unreserve":
                del reserved[key(words[0])]
            case "quarantine":
                address = ip_address(words[0])
                quarantined[address] = Quarantine(
                    address=address, mac="02:00:00:00:00:99", node="n1", interface="eth0", since_unix=self.cluster.now
                )
            case _:
                del quarantined[ip_address(words[0])]
        remembered = replace(old, reserved=reserved, quarantined=quarantined)
        self.cluster.state = replace(self.cluster.state, remembered=remembered)

    def _config(self, kind: str, words: list[str]) -> None:
        match kind:
            case "pool":
                self.pools[words[0]] = pool_of(words)
            case "namespace":
                self.namespaces[words[0]] = Namespace(name=words[0], labels=_pairs(words[1:]))
            case _:
                del self.pools[words[1]]
        self.waiting_config = True

    def _settle_config(self) -> None:
        if self.waiting_config:
            self.waiting_config = False
            self.cluster.become(pools=self.pools.values(), namespaces=self.namespaces.values())
            self._settle()

    def _settle(self) -> None:
        """Commits plan after plan; six are more than enough for anything."""
        cluster = self.cluster
        self.before, self.lost, self.causes = cluster.state.allocations, {}, {}
        cluster.now += 1
        for _ in range(6):
            cluster.plan = self.plan()
            for release in cluster.plan.releases:
                self.lost[_name(release.allocation.service)] = release.reason
            for grant in cluster.plan.grants:
                self.causes[_name(grant.service)] = grant.cause.value
            if cluster.plan.settled:
                return
            cluster.commit(cluster.plan)
        raise AssertionError(f"not settled: {cluster.plan}")

    def plan(self) -> AllocationPlan:
        """One plan, for the class that is ours; the cluster only knows services without."""
        cluster = self.cluster
        if self.ours is None:
            plan = cluster.look()
        else:
            now = replace(cluster.world, allocations=cluster.state.allocations)
            plan, cluster.memo = allocate(
                now, cluster.state.remembered, cluster.memo, load_balancer_class=self.ours, now_unix=cluster.now
            )
        compare(cluster, plan, self.ours)
        compare_counts(cluster)
        return plan

    def _counts(self, name: str, family: str) -> dict[str, int]:
        now = replace(self.cluster.world, allocations=self.cluster.state.allocations)
        for each in count(now, self.cluster.state.remembered, now_unix=self.cluster.now):
            if (each.pool, each.family.value) == (name, family):
                return {item: value for item, value in asdict(each).items() if isinstance(value, int)}
        raise ValueError(f"nothing is counted of {family} in {name}")

    def _check(self, name: str, verb: str, words: list[str]) -> None:
        cluster = self.cluster
        match verb:
            case "has" if words == ["nothing"]:
                assert (cluster.addresses(name), cluster.why(name)) == ("", {})
            case "has":
                text, _, lacking = " ".join(words).partition(" lacking ")
                addresses, _, home = text.partition(" from ")
                assert cluster.addresses(name) == addresses.replace(",", " "), cluster.text(name)
                assert not home or _homes(cluster, name) == home
                assert _refusals(cluster, name) == _expected(lacking)
            case "waits":
                assert cluster.addresses(name) == ""
                assert _refusals(cluster, name) == _expected(" ".join(words))
            case "lost":
                assert self.lost.get(name) == words[0], f"lost for {self.lost.get(name)}"
            case "kept":
                assert cluster.state.allocations[key(name)].id == self.before[key(name)].id
                assert name not in self.lost
            case "by":
                assert self.causes.get(name) == words[0], f"given by {self.causes.get(name)}"
            case "counts":
                assert (
                    self._counts(name, words[0]).items() >= {k: int(v) for k, v in _options(words[1:]).items()}.items()
                ), self._counts(name, words[0])
            case _:
                used = Counter(a for each in cluster.state.allocations.values() for a in each.addresses)
                shown = [f"{a}*{used[a]}" for a in sorted(used, key=lambda a: (a.version, int(a)))]
                assert shown == words


def _homes(cluster: Cluster, name: str) -> str:
    has = cluster.state.allocations[key(name)]
    return ",".join(dict.fromkeys(has.pool_of(address) for address in has.addresses))


def _refusals(cluster: Cluster, name: str) -> set[tuple[str, str]]:
    return {(each.subject, each.reason.value) for each in cluster.plan.pending.get(key(name), ())}


def _expected(text: str) -> set[tuple[str, str]]:
    """`a: pool_exhausted; 192.0.2.1: address_taken`; the subject ends at the last colon."""
    found: set[tuple[str, str]] = set()
    for part in text.split(";") if text else ():
        subject, _, reason = part.rpartition(":")
        found.add((subject.strip(), Reason(reason.strip()).value))
    return found


def _name(of: object) -> str:
    return str(of).removeprefix("default/")


def _pairs(words: Iterable[str]) -> tuple[tuple[str, str], ...]:
    split = (word.partition(":") for word in words if word)
    return tuple(sorted((name, value) for name, _, value in split))


def _selectors(text: str) -> list[LabelSelector]:
    """Alternatives with a bar between them, each a list of labels that must all be there."""
    return [LabelSelector(match_labels=_pairs(part.split(","))) for part in text.split("|")] if text else []


def _options(words: Iterable[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def pool_of(words: list[str]) -> Pool:
    """From the words of a `pool` line. Nothing cools unless the line says so: MetalLB knows no cooling."""
    ranges = [word for word in words[1:] if word[0].isdigit() or ":" in word.partition("=")[0]]
    said = _options(word for word in words[1:] if word not in ranges)
    unknown = said.keys() - {
        *("manual", "buggy", "priority", "for", "for-labels", "for-services"),
        *("cooling", "exclude", "lru", "reallocate"),
    }
    if unknown:
        raise ValueError(f"pool {words[0]}: {unknown}")
    made = pool(
        words[0],
        *ranges,
        auto="manual" not in said,
        buggy="buggy" in said,
        priority=int(said["priority"]) if "priority" in said else None,
        namespaces=said["for"].split(",") if "for" in said else (),
        namespace_selectors=_selectors(said.get("for-labels", "")),
        service_selectors=_selectors(said.get("for-services", "")),
    )
    options = replace(
        made.options,
        cooling_time=float(said.get("cooling", "0")),
        excluded=tuple(address_range(text) for text in said.get("exclude", "").split(",") if text),
        choice=Choice.LEAST_RECENTLY_USED if "lru" in said else Choice.LOWEST,
        on_conflict=OnConflict.REALLOCATE if "reallocate" in said else OnConflict.QUARANTINE,
    )
    return replace(made, options=options)


_FAMILIES = {"v4": (V4,), "v6": (V6,), "v4v6": (V4, V6), "v6v4": (V6, V4)}
_POLICIES = {"single": FamilyPolicy.SINGLE, "prefer": FamilyPolicy.PREFER, "require": FamilyPolicy.REQUIRE}
_FLAGS = {*_FAMILIES, *_POLICIES, "local"}
_NAMED = {
    *("ports", "ip", "pool", "pools", "share", "select", "labels", "cluster", "type", "class", "created", "conflict")
}


def service_of(words: list[str]) -> Service:
    """From the words that follow `put`."""
    name, *rest = words
    said = _options(rest)
    if said.keys() - _FLAGS - _NAMED:
        raise ValueError(f"service {name}: {said.keys() - _FLAGS - _NAMED}")
    made = service(
        name,
        ports=said.get("ports", "80").replace(",", " "),
        ip=said.get("ip", "").replace(",", " "),
        from_pool=said.get("pool"),
        share=said.get("share"),
        policy=TrafficPolicy.LOCAL if "local" in said else TrafficPolicy.CLUSTER,
        select=dict(_pairs(said.get("select", "").split(","))),
        labels=dict(_pairs(said.get("labels", "").split(","))),
        families=next((families for word, families in _FAMILIES.items() if word in said), ()),
        stack=next((policy for word, policy in _POLICIES.items() if word in said), None),
        cluster_ips=tuple(said["cluster"].split(",")) if "cluster" in said else (),
        kind=ServiceType(said.get("type", "LoadBalancer")),
        lb_class=said.get("class"),
        created=float(said["created"]) if "created" in said else None,
        from_pools=said.get("pools", "").replace(",", " "),
        on_conflict=OnConflict(said["conflict"]) if "conflict" in said else None,
    )
    for text in said.get("ip", "").split(","):
        assert not text or ip_address(text) in made.load_balancer.requested
    return made
