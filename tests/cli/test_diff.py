"""`lbctl diff`: what a person sees, what a program gets, the exit status, and what it takes for granted."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli import main
from lbctl.cli.diff_inputs import owners_in
from lbctl.cli.exit_status import ExitStatus
from lbctl.controller.ledger import Ledger
from lbctl.controller.records import Batch
from lbctl.controller.step import Inputs, step
from lbctl.model.snapshot import World
from lbctl.plan.reason import Refusal
from lbctl.sources.published_document import DocumentEncoder
from tests.plan import diff_worlds as text

OLD = text.pool("p", "192.0.2.0/29") + text.l2() + text.nodes("n1", "n2") + text.service("web")
NEW = OLD.replace("192.0.2.0/29", "192.0.2.4/30")


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str | Path, cwd: Path, stdin: str = "") -> Done:
    """The command within this process: a new one for each question would cost half a second."""
    out, err = io.StringIO(), io.StringIO()
    source = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", source)
        patch.delenv("FORCE_COLOR", raising=False)
        try:
            status = main.run(["diff", *map(str, arguments)])
        finally:
            gc.enable()
    return Done(status, out.getvalue(), err.getvalue())


def document(*arguments: str | Path, cwd: Path, status: int = ExitStatus.FOUND) -> dict[str, Any]:
    done = run(*arguments, "-o", "json", cwd=cwd)
    assert (done.returncode, done.stderr) == (status, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["schema"] == "lbctl.io/diff/v1"
    assert found["status"] == status
    assert found["changes"] == (status == ExitStatus.FOUND)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (("old", OLD), ("new", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yaml").write_text(content)
    return tmp_path


def put_state(folder: Path, manifests: str) -> None:
    """A state folder as a controller leaves it behind that gave the services of these manifests their addresses."""
    ledger = Ledger(folder / "controller", new_name=lambda: "the-ledger")
    state = ledger.open()
    world = text.world(manifests)
    published: World | None = None
    pending: Mapping[Any, tuple[Refusal, ...]] = {}
    while True:
        decision, _ = step(Inputs(world=world, state=state, published=published, pending=pending, now_unix=1_000.0))
        state = ledger.commit(decision.batch, decision.after) if decision.batch else decision.after
        published, pending = decision.world or published, decision.pending
        if not decision.again:
            break
    ledger.close()
    assert published is not None
    content = b"".join(DocumentEncoder(cluster="default", ledger="the-ledger").encode(published, pending))
    (folder / "published").mkdir(parents=True, exist_ok=True)
    (folder / "published" / "snapshot.json").write_bytes(content)


def test_nothing_changes(folder: Path) -> None:
    done = run("old", "--against", "old", cwd=folder)
    assert (done.returncode, done.stderr) == (ExitStatus.OK, "")
    assert done.stdout == (
        "note: no --state: the addresses of now are those that a new ledger would give to\n"
        "  what is in force\n"
        "\n"
        "Nothing would change.\n"
    )


def test_the_whole_of_what_is_printed(folder: Path) -> None:
    done = run("new", "--against", "old", cwd=folder)
    assert (done.returncode, done.stderr) == (ExitStatus.FOUND, "")
    assert done.stdout == (
        "note: no --state: the addresses of now are those that a new ledger would give to\n"
        "  what is in force\n"
        "\n"
        "Services\n"
        "  ~ 1 service changes address: address_in_no_pool, then automatic\n"
        "      default/web  192.0.2.0 -> 192.0.2.4  no pool has 192.0.2.0\n"
        "\n"
        "Addresses in use that their pool would give up\n"
        "  - pool p (new/all.yaml:4:8): address_in_no_pool\n"
        "      192.0.2.0  default/web\n"
        "\n"
        "Configuration\n"
        "  ~ IPAddressPool p: addresses [192.0.2.0/29] -> [192.0.2.4/30]\n"
        "\n"
        "1 service changes address; 1 config object changed\n"
    )


def test_the_document(folder: Path) -> None:
    found = document("new", "--against", "old", cwd=folder)
    assert found["allocations"] == "planned"
    assert found["services"] == [
        {
            "service": "default/web",
            "event": "changes",
            "before": ["192.0.2.0"],
            "after": ["192.0.2.4"],
            "pools_before": ["p"],
            "pools_after": ["p"],
            "reason": "address_in_no_pool",
            "detail": "no pool has 192.0.2.0",
            "cause": "automatic",
            "pending": [],
        }
    ]
    (stranded,) = found["stranded"]
    assert (stranded["address"], stranded["file"], stranded["line"]) == ("192.0.2.0", "new/all.yaml", 4)
    assert {"vips", "sessions", "routes", "pending", "notes", "errors", "held_back"} < found.keys()
    assert [note["note"] for note in found["notes"]] == ["allocations_planned"]


def test_the_same_answer_every_time(folder: Path) -> None:
    one, other = (run("new", "--against", "old", "-o", "json", cwd=folder).stdout for _ in range(2))
    assert one == other


def test_the_allocations_of_the_ledger_count(folder: Path) -> None:
    """The service asked for .6 once; a new ledger would give it .0."""
    asking = OLD + text.service("held", "loadBalancerIP: 192.0.2.6")
    put_state(folder / "state", asking)
    found = document("new", "--state", "state", cwd=folder)
    assert (found["allocations"], found["ledger"]) == ("ledger", "the-ledger")
    # NEW has a Service, so `held` is taken away.
    assert {item["service"]: item["event"] for item in found["services"]} == {
        "default/held": "loses",
        "default/web": "changes",
    }
    assert found["services"][0]["before"] == ["192.0.2.6"]
    assert found["services"][0]["reason"] == "service_deleted"


def test_config_alone_leaves_the_services_of_the_state_folder(folder: Path) -> None:
    put_state(folder / "state", OLD)
    (folder / "pools.yaml").write_text(text.pool("p", "192.0.2.4/30") + text.l2())
    found = document("pools.yaml", "--state", "state", cwd=folder)
    assert [item["service"] for item in found["services"]] == ["default/web"]
    assert [note["note"] for note in found["notes"]] == ["kept_from_current"] * 3


def test_patch_leaves_all_that_it_does_not_name(folder: Path) -> None:
    put_state(folder / "state", OLD)
    (folder / "one.yaml").write_text(text.pool("q", "198.51.100.0/30"))
    whole = document("one.yaml", "--state", "state", cwd=folder)
    assert [item["event"] for item in whole["services"]] == ["changes"]
    patched = document("one.yaml", "--patch", "--state", "state", cwd=folder)
    assert [(item["name"], item["event"]) for item in patched["objects"]] == [("q", "added")]
    assert not patched["services"]
    (folder / "one.yaml").write_text(text.pool("p", "198.51.100.0/30"))
    found = document("one.yaml", "--patch", "--state", "state", cwd=folder)
    assert [item["after"] for item in found["services"]] == [["198.51.100.0"]]


def test_config_of_one_and_allocations_of_the_other(folder: Path) -> None:
    put_state(folder / "state", OLD)
    (folder / "old" / "all.yaml").write_text(OLD + text.peer("r", "203.0.113.1") + text.bgp())
    found = document("new", "--against", "old", "--state", "state", cwd=folder)
    assert [item["event"] for item in found["sessions"]] == ["closes"]
    assert [item["before"] for item in found["services"]] == [["192.0.2.0"]]


def test_owners_out_of_what_a_daemon_says() -> None:
    rows = [
        {"addresses": ["192.0.2.1"], "owners": ["n1"]},
        {"addresses": ["192.0.2.2", "2001:db8::2"], "owners": ["n2"]},
        {"addresses": ["192.0.2.3", "2001:db8::3"], "owners": ["n1", "n2"]},
        {"addresses": ["192.0.2.4"], "owners": []},
    ]
    found = owners_in(rows)
    assert {str(address): node for address, node in found.items()} == {
        "192.0.2.1": "n1",
        "192.0.2.2": "n2",
        "2001:db8::2": "n2",
    }


def test_a_daemon_that_cannot_be_asked(folder: Path) -> None:
    done = run("new", "--against", "old", "--socket", "nowhere.sock", cwd=folder)
    assert (done.returncode, done.stdout) == (ExitStatus.UNAVAILABLE, "")
    assert done.stderr.startswith("lbctl diff: ")
    assert done.stderr.count("\n") == 1


def test_nodes_that_registered_themselves_stay(folder: Path) -> None:
    """No manifest says anything of n9, and NEW takes it from nobody."""
    from lbctl.model.node import Node
    from lbctl.sources.published_file import read_published

    put_state(folder / "state", OLD)
    path = folder / "state" / "published" / "snapshot.json"
    world = read_published(path).world
    world = replace(world, nodes={**world.nodes, "n9": Node(name="n9", registered=True)})
    path.write_bytes(b"".join(DocumentEncoder(cluster="default", ledger="the-ledger").encode(world, {})))
    for name in ("old", "new"):
        (folder / name / "all.yaml").write_text(OLD + text.peer("r", "203.0.113.1"))
    document("new", "--against", "old", "--state", "state", cwd=folder, status=ExitStatus.OK)
    (opened,) = document("new", "--state", "state", cwd=folder)["sessions"]
    assert opened["nodes"] == ["n1", "n2", "n9"]


def test_reservations_of_the_ledger_count(folder: Path) -> None:
    """An address that is reserved for another service is given to nobody."""
    from lbctl.controller.kept import AddressChanges
    from lbctl.model.reservation import Reservation
    from tests.support.worlds import addresses, key

    put_state(folder / "state", OLD)
    ledger = Ledger(folder / "state" / "controller", new_name=lambda: "")
    state = ledger.open()
    kept = Reservation(service=key("other"), addresses=addresses("192.0.2.4"), pool="p", since_unix=1.0)
    ledger.commit(Batch(at_unix=1_000.0, first_grant=state.next_grant, kept=AddressChanges(reserved=(kept,))))
    ledger.close()
    found = document("new", "--state", "state", cwd=folder)
    assert [item["after"] for item in found["services"]] == [["192.0.2.5"]]


def test_nothing_is_written(folder: Path) -> None:
    put_state(folder / "state", OLD)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "sqlite-" not in path.name}
    run("new", "--state", "state", cwd=folder)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "sqlite-" not in path.name}
    assert before == after


def test_without_a_ledger_the_published_file_serves(folder: Path) -> None:
    put_state(folder / "state", OLD)
    for path in (folder / "state" / "controller").glob("ledger.sqlite*"):
        path.unlink()
    found = document("new", "--state", "state", cwd=folder)
    assert [item["before"] for item in found["services"]] == [["192.0.2.0"]]
    assert {"ledger_not_read", "allocations_published"} <= {note["note"] for note in found["notes"]}


def test_errors_in_new_are_named_and_what_is_in_force_of_them_stays(folder: Path) -> None:
    (folder / "new" / "all.yaml").write_text(OLD.replace("192.0.2.0/29", "192.0.2.0/99"))
    (folder / "new" / "more.yaml").write_text(text.service("more"))
    done = run("new", "--against", "old", cwd=folder)
    assert done.returncode == ExitStatus.FOUND
    assert "error[LB0202]" in done.stdout
    assert "new/all.yaml:4:29" in done.stdout
    assert "1 service gets an address: automatic\n      default/more  192.0.2.1  pool p\n" in done.stdout
    found = document("new", "--against", "old", cwd=folder)
    assert found["held_back"] == ["new/all.yaml"]
    assert [item["service"] for item in found["services"]] == ["default/more"], "web keeps what it has"


def test_a_conflict_in_new(folder: Path) -> None:
    (folder / "new" / "all.yaml").write_text(OLD)
    (folder / "new" / "z.yaml").write_text(text.pool("q", "192.0.2.2/31"))
    found = document("new", "--against", "old", cwd=folder, status=ExitStatus.UNAVAILABLE)
    assert [error["code"] for error in found["errors"]] == ["LB0205"]


def test_errors_in_new_are_never_nothing(folder: Path) -> None:
    """What is wrong is left out of the comparison: what it would have done cannot be told."""
    (folder / "new" / "all.yaml").write_text(OLD.replace("192.0.2.0/29", "192.0.2.0/99"))
    done = run("new", "--against", "old", cwd=folder)
    assert done.returncode == ExitStatus.UNAVAILABLE
    assert "Nothing would change" not in done.stdout
    assert "--patch" not in done.stdout, "the pool is there, and wrong"
    assert done.stdout.endswith("\nCannot tell: 1 error in NEW, and beside it nothing would change.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--against", "old"], "nowhere: No such file or directory"),
        (["new", "--against", "nowhere"], "nowhere: No such file or directory"),
        (["new", "--state", "nowhere"], "nowhere/published/snapshot.json is missing"),
        (["broken.yaml", "--against", "old"], "nothing in broken.yaml can be read"),
        (["empty", "--against", "old"], "there is no object in empty"),
    ],
)
def test_cannot_tell(folder: Path, arguments: list[str], words: str) -> None:
    (folder / "broken.yaml").write_text("a: b: c\n")
    (folder / "empty").mkdir()
    done = run(*arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (ExitStatus.UNAVAILABLE, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_in_force_has_to_be_named(folder: Path) -> None:
    done = run("new", cwd=folder)
    assert done.returncode == ExitStatus.USAGE
    assert "--against PATH" in done.stderr


def test_from_nothing(folder: Path) -> None:
    (folder / "empty").mkdir()
    found = document("old", "--against", "empty", cwd=folder)
    assert [item["event"] for item in found["services"]] == ["gets"]


def test_new_from_stdin(folder: Path) -> None:
    done = run("-", "--against", "old", cwd=folder, stdin=NEW)
    assert done.returncode == ExitStatus.FOUND
    assert "<stdin>:4:8" in done.stdout


def test_an_edit_that_would_be_held_back(folder: Path) -> None:
    for name, addresses in (("old", "192.0.2.0/29"), ("new", "192.0.2.4/30")):
        protected = text.pool("p", addresses, protect="in-use")
        (folder / name / "all.yaml").write_text(protected + text.l2() + text.service("web"))
    done = run("new", "--against", "old", cwd=folder)
    assert done.returncode == ExitStatus.FOUND
    assert (
        "Edits that would be held back (protect: in-use)\n"
        "  ! pool p (new/all.yaml:4:8): the edit would take 192.0.2.0 from default/web;\n"
        "    the pool stays in force as it was\n"
        "\n"
        "1 edit of pools would be held back\n"
    ) in done.stdout
    (refused,) = document("new", "--against", "old", cwd=folder)["refused"]
    assert (refused["pool"], refused["reason"], refused["line"]) == ("p", "pool_protected", 4)


def test_much_is_counted_and_not_listed(folder: Path) -> None:
    many = OLD.replace("192.0.2.0/29", "192.0.2.0/24") + "".join(text.service(f"s{n:02}") for n in range(30))
    (folder / "old" / "all.yaml").write_text(many)
    (folder / "new" / "all.yaml").write_text(many.replace("192.0.2.0/24", "198.51.100.0/24"))
    done = run("new", "--against", "old", cwd=folder)
    assert "  ~ 31 services change address: address_in_no_pool, then automatic\n" in done.stdout
    assert "      and 21 more (-o json has them all)\n" in done.stdout
    assert len(document("new", "--against", "old", cwd=folder)["services"]) == 31


def test_passwords_are_never_shown(folder: Path) -> None:
    for name, password in (("old", "hunter2"), ("new", "correct-horse")):
        (folder / name / "all.yaml").write_text(OLD + text.peer("r", "203.0.113.1", f"password: {password}"))
    for form in ("human", "json"):
        done = run("new", "--against", "old", "-o", form, cwd=folder)
        assert done.returncode == ExitStatus.FOUND
        assert "hunter2" not in done.stdout
        assert "correct-horse" not in done.stdout
        assert "resets" in done.stdout
    assert "password:  another one" in run("new", "--against", "old", cwd=folder).stdout


def test_a_password_that_the_state_folder_does_not_have_resets_nothing(folder: Path) -> None:
    secured = OLD + text.peer("r", "203.0.113.1", "password: hunter2")
    put_state(folder / "state", secured)
    (folder / "new" / "all.yaml").write_text(secured)
    found = document("new", "--state", "state", cwd=folder, status=ExitStatus.OK)
    assert "passwords_not_known" in {note["note"] for note in found["notes"]}


BARE = text.pool("p", "192.0.2.0/29") + text.manifest(
    "Service", "web", "type: LoadBalancer, ports: [{port: 80}]", version="v1"
)


def test_all_is_withdrawn_and_neither_node_nor_endpoint_is_known(folder: Path) -> None:
    (folder / "old" / "all.yaml").write_text(BARE + text.l2())
    (folder / "new" / "all.yaml").write_text(BARE)
    done = run("new", "--against", "old", cwd=folder)
    assert done.returncode == ExitStatus.FOUND
    assert done.stdout == (
        "note: no --state: the addresses of now are those that a new ledger would give to\n"
        "  what is in force\n"
        "note: no Node is known: it is told what some node would announce, as if every\n"
        "  nodeSelector matched it\n"
        "note: no EndpointSlice is known of default/web: on both sides ready endpoints on\n"
        "  every node are supposed\n"
        "\n"
        "VIPs by ARP and NDP (planned owners)\n"
        "  - 1 VIP announced by nobody any more: no_advertisement (pool p)\n"
        "      192.0.2.0  default/web\n"
        "\n"
        "Configuration\n"
        "  - L2Advertisement l2 removed\n"
        "\n"
        "1 VIP announced no more; 1 config object removed\n"
    )
    found = document("new", "--against", "old", cwd=folder)
    assert [note["note"] for note in found["notes"]] == ["allocations_planned", "no_nodes", "no_endpoints"]


def test_all_is_withdrawn_from_a_controller_without_speakers(folder: Path) -> None:
    put_state(folder / "state", BARE + text.l2())
    (folder / "new" / "all.yaml").write_text(text.pool("p", "192.0.2.0/29"))
    found = document("new", "--state", "state", cwd=folder)
    assert [(item["address"], item["event"], item["before"]) for item in found["vips"]] == [
        ("192.0.2.0", "stops", None)
    ]


def test_interfaces_of_an_advertisement(folder: Path) -> None:
    (folder / "new" / "all.yaml").write_text(OLD.replace(text.l2(), text.l2("l2", "interfaces: [eth9]")))
    done = run("new", "--against", "old", cwd=folder)
    assert done.returncode == ExitStatus.FOUND
    assert (
        "Configuration\n"
        "  ~ L2Advertisement l2: interfaces [] -> [eth9]; what it does depends on the\n"
        "    interfaces of the nodes, which manifests do not have\n"
        "\n"
        "1 config object changed\n"
    ) in done.stdout
    (item,) = document("new", "--against", "old", cwd=folder)["objects"]
    assert item == {
        "kind": "L2Advertisement",
        "name": "l2",
        "event": "changed",
        "consequences": ["interfaces_unknown"],
        "used_by": [],
        "fields": [{"field": "interfaces", "before": [], "after": ["eth9"]}],
    }


def test_edits_that_reset_no_session(folder: Path) -> None:
    profiles = text.manifest("BFDProfile", "slow", "detectMultiplier: 5") + text.manifest("BFDProfile", "fast")
    old = OLD + profiles + text.peer("r", "203.0.113.1", "bfdProfile: slow") + text.peer("q", "203.0.113.2")
    new = old.replace("bfdProfile: slow", "bfdProfile: fast").replace("Multiplier: 5", "Multiplier: 9")
    (folder / "old" / "all.yaml").write_text(old)
    (folder / "new" / "all.yaml").write_text(new)
    done = run("new", "--against", "old", cwd=folder)
    assert done.returncode == ExitStatus.FOUND
    assert (
        "\nConfiguration\n"
        "  ~ BGPPeer r: bfdProfile slow -> fast; the session stays\n"
        "  ~ BFDProfile slow: detectMultiplier 5 -> 9; no peer uses it\n"
        "\n"
        "2 config objects changed\n"
    ) in done.stdout


def test_long_lists_are_told_by_what_comes_and_goes(folder: Path) -> None:
    def ranges(*numbers: int) -> str:
        return text.pool("p", ", ".join(f"10.0.{number}.0/24" for number in numbers)) + text.l2()

    (folder / "old" / "all.yaml").write_text(ranges(1, 2, 3))
    for numbers, words in (
        ((1, 2, 4), "addresses without 10.0.3.0/24 and with 10.0.4.0/24\n"),
        ((1, 3, 2), "addresses in another order\n"),
        ((1, 2, 3, 4), "addresses with 10.0.4.0/24\n"),
        ((1,), "addresses [10.0.1.0/24, 10.0.2.0/24, 10.0.3.0/24] ->\n    [10.0.1.0/24]\n"),
    ):
        (folder / "new" / "all.yaml").write_text(ranges(*numbers))
        assert f"  ~ IPAddressPool p: {words}" in run("new", "--against", "old", cwd=folder).stdout


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (text.peer("r", "203.0.113.1"), "it has no IPAddressPool, while 1 is in force"),
        (text.service("other"), "it has no IPAddressPool, while 1 is in force"),
        (text.pool("p", "192.0.2.0/29") + text.service("web"), "it lacks 2 of the 3 services in force"),
    ],
)
def test_a_part_of_a_configuration_without_patch(folder: Path, part: str, words: str) -> None:
    (folder / "old" / "all.yaml").write_text(OLD + text.service("b") + text.service("c"))
    (folder / "part.yaml").write_text(part)
    notes = {note["note"]: note["message"] for note in document("part.yaml", "--against", "old", cwd=folder)["notes"]}
    assert notes["did_you_mean_patch"] == (
        f"part.yaml stands for all that is to be in force, and {words}; did you mean --patch?"
    )
    patched = run("part.yaml", "--against", "old", "--patch", "-o", "json", cwd=folder).stdout
    assert "did_you_mean_patch" not in patched


def test_no_hint_where_little_goes(folder: Path) -> None:
    (folder / "old" / "all.yaml").write_text(OLD + text.service("b") + text.service("c"))
    (folder / "new" / "all.yaml").write_text(OLD + text.service("b"))
    notes = document("new", "--against", "old", cwd=folder)["notes"]
    assert "did_you_mean_patch" not in {note["note"] for note in notes}


def test_columns_stay_apart_where_a_row_is_too_long(folder: Path) -> None:
    small = text.pool("small", "192.0.2.0/32") + text.l2() + text.nodes("n1") + text.service("web")
    (folder / "old" / "all.yaml").write_text(small)
    long = "a-service-with-a-name-that-is-rather-long-as-they-come"
    (folder / "new" / "all.yaml").write_text(small + text.service("added") + text.service(long))
    done = run("new", "--against", "old", cwd=folder)
    assert (f"      default/{long}\n          small: pool_exhausted") in done.stdout
    assert "      default/added  small: pool_exhausted" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_units_and_reasons_that_read_as_what_they_are(folder: Path) -> None:
    config = OLD + text.bgp()
    idle = config.replace(text.service("web"), text.service("web", on=()))
    (folder / "old" / "all.yaml").write_text(idle + text.peer("r", "203.0.113.1", "holdTime: 180s"))
    (folder / "new" / "all.yaml").write_text(config + text.peer("r", "203.0.113.1", "holdTime: 30s"))
    done = run("new", "--against", "old", cwd=folder)
    assert "      holdTime:  180s -> 30s\n" in done.stdout
    assert "  + 1 prefix announced to r by n1, n2: until now no_endpoints\n" in done.stdout
    back = run("old", "--against", "new", cwd=folder)
    assert "  - 1 prefix withdrawn from r by n1, n2: no_endpoints\n" in back.stdout
