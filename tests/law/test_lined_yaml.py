"""A YAML file is taken whole or refused whole, and every fault in it is named with its line, its key and what to do."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from receiver.law import lined_yaml
from receiver.law.lined_yaml import Document, Fault, FaultyFile, convert, dotted, read


class Wheel(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1)]


class Petrol(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="petrol"):
    litres: int


class Electric(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="electric"):
    volts: int
    spare: Wheel | None = None


class Shelf(msgspec.Struct, forbid_unknown_fields=True):
    rows: dict[str, list[int]]
    motor: Annotated[Petrol | Electric, Meta(description="what drives it")] | None = None


class Car(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    wheels: Annotated[tuple[Wheel, ...], Meta(max_length=4)] = ()
    spare: Wheel | None = None
    motors: tuple[Petrol | Electric, ...] = ()
    built: date | None = None
    sold: bool = False


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "car.yaml"


def faults_of(file: Path, text: str | bytes, type_: Any = Car) -> list[Fault]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FaultyFile) as refused:
        convert(read(file), type_)
    return refused.value.faults


def places(faults: list[Fault]) -> list[tuple[int, str, str]]:
    return [(fault.line, fault.key, fault.wrong) for fault in faults]


def car(file: Path, text: str) -> Car:
    file.write_text(text, encoding="utf-8")
    return convert(read(file), Car)


def test_a_good_file_becomes_a_value(file: Path) -> None:
    text = "name: 車\nwheels: [{size: 15}, {size: 16}]\nmotors: [{kind: electric, volts: 400}]\nbuilt: 2026-04-01\nsold: yes\n"
    assert car(file, text) == Car("車", (Wheel(15), Wheel(16)), motors=(Electric(400),), built=date(2026, 4, 1), sold=True)


def test_a_byte_order_mark_does_not_matter(file: Path) -> None:
    assert car(file, "\ufeffname: a\n") == Car("a")


def test_a_date_where_text_is_meant_stays_text(file: Path) -> None:
    assert car(file, "name: 2026-04-01\n").name == "2026-04-01"


def test_aliases_may_be_used(file: Path) -> None:
    assert car(file, "name: a\nwheels: [&w {size: 15}, *w, *w]\n").wheels == (Wheel(15),) * 3


def test_a_key_given_twice_is_refused_with_both_lines(file: Path) -> None:
    assert places(faults_of(file, "name: a\nsold: true\nname: b\n")) == [(3, "name", "key given twice (first on line 1)")]


def test_a_key_given_twice_deep_inside_is_found(file: Path) -> None:
    text = "name: a\nwheels:\n  - size: 15\n  - size: 16\n    size: 17\n"
    assert places(faults_of(file, text)) == [(5, "wheels[1].size", "key given twice (first on line 4)")]


def test_a_key_given_three_times_is_two_faults(file: Path) -> None:
    wrong = "key given twice (first on line 1)"
    assert places(faults_of(file, "name: a\nname: b\nname: c\n")) == [(2, "name", wrong), (3, "name", wrong)]


def test_the_same_key_in_two_places_is_no_fault(file: Path) -> None:
    assert car(file, "name: a\nspare: {size: 1}\nwheels: [{size: 1}]\n").spare == Wheel(1)


def test_an_unknown_key_is_refused_and_the_known_ones_are_named(file: Path) -> None:
    (fault,) = faults_of(file, "name: a\nspare:\n  size: 15\n  colour: red\n")
    assert (fault.line, fault.key, fault.wrong) == (4, "spare.colour", "unknown key")
    assert fault.cure == "Remove it, or correct its spelling: known are size"


def test_a_missing_key_is_named_with_the_line_of_what_lacks_it(file: Path) -> None:
    text = "sold: true\nwheels:\n  - size: 15\n  - {}\n"
    assert places(faults_of(file, text)) == [
        (1, "name", "required key is missing"),
        (4, "wheels[1].size", "required key is missing"),
    ]


def test_an_empty_file_lacks_what_is_required(file: Path) -> None:
    assert places(faults_of(file, "# nothing\n")) == [(1, "name", "required key is missing")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: 5\n", (1, "name", "expected `str`, got `int`")),
        ("name: null\n", (1, "name", "expected `str`, got `null`")),
        ("name: a\nsold: 1\n", (2, "sold", "expected `bool`, got `int`")),
        ("name: a\nspare: {size: big}\n", (2, "spare.size", "expected `int`, got `str`")),
        ("name: a\nspare: {size: true}\n", (2, "spare.size", "expected `int`, got `bool`")),
        ("name: a\nspare: {size: 1.5}\n", (2, "spare.size", "expected `int`, got `float`")),
        ("name: a\nspare:\n  size: 0\n", (3, "spare.size", "expected `int` >= 1")),
        ("name: a\nspare: 15\n", (2, "spare", "expected `object | null`, got `int`")),
        ("name: a\nwheels: {size: 15}\n", (2, "wheels", "expected `array`, got `object`")),
        ("name: a\nwheels:\n- size: 1\n- 2\n", (4, "wheels[1]", "expected `object`, got `int`")),
        (
            "name: a\nwheels: [{size: 1}, {size: 1}, {size: 1}, {size: 1}, {size: 1}]\n",
            (2, "wheels", "expected `array` of length <= 4"),
        ),
        ("name: a\nbuilt: soon\n", (2, "built", "invalid RFC3339 encoded date")),
        ("name: a\nmotors: [{kind: steam}]\n", (2, "motors[0].kind", "invalid value 'steam'")),
        ("name: a\nmotors: [{litres: 40}]\n", (2, "motors[0]", "object missing required field `kind`")),
        ("- name: a\n", (1, "", "expected `object`, got `array`")),
        ("just text\n", (1, "", "expected `object`, got `str`")),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_at_its_place(file: Path, text: str, place: tuple[int, str, str]) -> None:
    assert places(faults_of(file, text)) == [place]


def test_a_variant_is_checked_by_its_own_keys(file: Path) -> None:
    text = "name: a\nmotors:\n  - kind: electric\n    litres: 40\n    spare:\n      size: x\n"
    assert places(faults_of(file, text)) == [
        (3, "motors[0].volts", "required key is missing"),
        (4, "motors[0].litres", "unknown key"),
        (6, "motors[0].spare.size", "expected `int`, got `str`"),
    ]


def test_a_variant_that_may_be_left_out_is_checked_by_its_own_keys_too(file: Path) -> None:
    text = "rows: {}\nmotor:\n  kind: petrol\n  litres: x\n  volts: 5\n"
    assert places(faults_of(file, text, Shelf)) == [
        (4, "motor.litres", "expected `int`, got `str`"),
        (5, "motor.volts", "unknown key"),
    ]


def test_an_entry_of_a_list_under_a_free_key_is_named_by_key_and_number(file: Path) -> None:
    assert places(faults_of(file, "rows:\n  a: [1, x]\n", Shelf)) == [(2, "rows.a[1]", "expected `int`, got `str`")]


def test_all_faults_are_reported_at_once_in_the_order_of_the_lines(file: Path) -> None:
    text = "sold: maybe\nwheels:\n  - {size: 0, colour: red}\n  - size: 16\nspare:\n  size: []\nwings: 2\nbuilt: soon\n"
    assert places(faults_of(file, text)) == [
        (1, "name", "required key is missing"),
        (1, "sold", "expected `bool`, got `str`"),
        (3, "wheels[0].colour", "unknown key"),
        (3, "wheels[0].size", "expected `int` >= 1"),
        (6, "spare.size", "expected `int`, got `array`"),
        (7, "wings", "unknown key"),
        (8, "built", "invalid RFC3339 encoded date"),
    ]


def test_unknown_keys_on_one_line_are_reported_in_the_order_written(file: Path) -> None:
    faults = faults_of(file, "{name: a, zebra: 1, ant: 2, mouse: 3}\n")
    assert [fault.key for fault in faults] == ["zebra", "ant", "mouse"]


def test_what_types_cannot_say_is_checked_last(file: Path) -> None:
    file.write_text("name: a\nspare:\n  size: 15\n")

    def check(car: Car) -> list[tuple[tuple[str | int, ...], str, str]]:
        return [(("spare", "size"), "does not fit", "Take a larger one"), (("motors",), "none", "Add one")]

    with pytest.raises(FaultyFile) as refused:
        convert(read(file), Car, check)
    assert places(refused.value.faults) == [(1, "motors", "none"), (3, "spare.size", "does not fit")]


def test_a_fault_reads_as_one_line_with_file_line_key_wrong_and_cure(file: Path) -> None:
    (fault,) = faults_of(file, "name: a\nwings: 2\n")
    known = "name, wheels, spare, motors, built, sold"
    assert str(fault) == f"{file}:2: wings: unknown key. Remove it, or correct its spelling: known are {known}"


def test_the_exception_says_every_fault(file: Path) -> None:
    file.write_text("wings: 2\n")
    with pytest.raises(FaultyFile) as refused:
        convert(read(file), Car)
    assert str(refused.value) == "\n".join(str(fault) for fault in refused.value.faults)
    assert len(refused.value.faults) == 2


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ("name: a\n  sold: true\n", 2, "is not YAML: mapping values are not allowed here"),
        ("name: a\nwheels:\n\t- size: 1\n", 3, r"is not YAML: found character '\t' that cannot start any token"),
        ('name: "a\nsold: true\n', 3, "is not YAML: found unexpected end of stream"),
        ("name: a\nwheels: [{size: 1}\n", 3, "is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("name: a\n---\nname: b\n", 2, "is not YAML: but found another document"),
        ("name: a\nspare: *wheel\n", 2, "is not YAML: found undefined alias"),
        ("name: a\nbell: \x07\n", 2, "is not YAML: special characters are not allowed"),
        ("\nname: a\nbell: \x07\n\n\n\n", 3, "is not YAML: special characters are not allowed"),
        ("name: a\n? [b, c]\n: 1\n", 2, "a key that is no text"),
        ("name: !!python/object/apply:os.system ['true']\n", 1, "unknown tag"),
        ("name: !!python/name:os.system\n", 1, "unknown tag"),
        ("name: a\nspare: !!python/object:receiver.law.lined_yaml.Fault {file: x}\n", 2, "unknown tag"),
        ("name: a\nwheels: !mine [{size: 1}]\n", 2, "unknown tag"),
        ("name: a\nsold: !!bool maybe\n", 2, "not a readable value"),
        ("name: a\nsold: !!int ''\n", 2, "not a readable value"),
        ("name: a\nwheels: &w [*w]\n", 2, "an alias that contains itself"),
        ("&all\nname: a\nspare: *all\n", 3, "an alias that contains itself"),
        ("name: a\nwheels: &w [[[*w]]]\n", 2, "an alias that contains itself"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_at_its_line(file: Path, text: str, line: int, wrong: str) -> None:
    (fault,) = faults_of(file, text)
    assert (fault.line, fault.wrong) == (line, wrong)
    assert fault.cure


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "name: a\n  b: c\n",
            "2: file: is not YAML: mapping values are not allowed here. Check indentation, quotes and colons here",
        ),
        ("bell: \x07\n", "1: file: is not YAML: special characters are not allowed. Remove what YAML does not allow"),
        ("\n" + "[" * 3000, "1: file: is nested too deeply. Write it flatter"),
        ("name: \u8eca\n", "1: file: is not UTF-8 text. Save the file as UTF-8"),
        ("name: a\nname: b\n", "2: name: key given twice (first on line 1). Keep one of them"),
        ("sold: yes\n", "1: name: required key is missing. Add it"),
        ("name: 1\n", "1: name: expected `str`, got `int`. Correct the value as the reference says"),
        ("name: a\nspare:\n  [b]: 1\n", "3: spare: a key that is no text. Write a name before the colon"),
        ("name: !mine a\n", "1: name: unknown tag. Use plain YAML values"),
        ("name: a\nwheels: !mine [1]\n", "2: wheels: unknown tag. Use plain YAML values"),
        ("name: a\nsold: !!int ''\n", "2: sold: not a readable value. Put it in quotes if it is text"),
        ("name: a\nwheels: &w [*w]\n", "2: wheels[0]: an alias that contains itself. Write the value out"),
    ],
)
def test_a_fault_says_what_to_do(file: Path, text: str, says: str) -> None:
    (fault,) = faults_of(file, text.encode("shift-jis"))
    assert str(fault) == f"{file}:{says}"
    assert fault.key == ("" if ": file: " in says else says.split(": ")[1])


def test_all_keys_that_are_no_text_are_reported(file: Path) -> None:
    assert [fault.line for fault in faults_of(file, "name: a\n[b]: 1\nsold: yes\n[c]: 2\n")] == [2, 4]


@pytest.mark.parametrize("password", ["*Passw0rd", "&Passw0rd &x", "!Passw0rd", "!Passw0rd! x", "[!Passw0rd {}]"])
def test_a_password_that_looks_like_yaml_is_not_repeated(file: Path, password: str) -> None:
    faults = faults_of(file, f"name: {password}\nspare: 1\n")
    assert "Passw0rd" not in str(faults)


def test_a_tag_runs_nothing(file: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    faults_of(file, f"name: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{trace}']]\n")
    assert not trace.exists()


def test_text_that_is_not_utf8_is_refused(file: Path) -> None:
    (fault,) = faults_of(file, "name: 車\n".encode("shift-jis"))
    assert (fault.wrong, fault.cure) == ("is not UTF-8 text", "Save the file as UTF-8")


@pytest.mark.parametrize(("name", "why"), [("none.yaml", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(FaultyFile) as refused:
        read(tmp_path / name)
    assert str(refused.value) == f"{tmp_path / name}:1: file: cannot be read ({why}). Check the path and its permissions"
    assert refused.value.faults[0].key == ""


def test_a_billion_laughs_are_refused(file: Path) -> None:
    laughs = "a: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n"
    for before, now in zip("abcdefgh", "bcdefghi", strict=True):
        laughs += f"{now}: &{now} [{', '.join([f'*{before}'] * 10)}]\n"
    (fault,) = faults_of(file, laughs)
    assert str(fault) == f"{file}:1: file: has more than 100,000 values. Use fewer aliases"
    assert fault.key == ""


def test_a_billion_laughs_in_a_key_are_refused(file: Path) -> None:
    laughs = "a: &a {ha: ha}\n"
    for before, now in zip("abcdefgh", "bcdefghi", strict=True):
        laughs += f"{now}: &{now} {{? [{', '.join([f'*{before}'] * 10)}] : ha}}\n"
    assert {fault.wrong for fault in faults_of(file, laughs)} == {"a key that is no text"}


@pytest.mark.parametrize("text", ["[" * 3000, "{a: " * 3000, "- " * 3000])
def test_a_bottomless_nesting_is_refused(file: Path, text: str) -> None:
    (fault,) = faults_of(file, text)
    assert fault.wrong == "is nested too deeply"


def test_a_list_of_ten_thousand_entries_is_read(file: Path) -> None:
    file.write_text("wheels:\n" + "- {size: 1}\n" * 10_000)
    assert len(read(file).values["wheels"]) == 10_000


def test_a_path_of_keys_is_written_as_a_person_reads_it() -> None:
    assert dotted(("services", 0, "users", "unable")) == "services[0].users.unable"
    assert dotted(("Xray",)) == "Xray"
    assert dotted(()) == ""


def test_a_fault_at_an_absent_key_names_the_line_of_its_nearest_parent() -> None:
    document = Document("f", None, {(): 1, ("a",): 4, ("a", 0): 5})
    assert document.fault(("a", 0, "b", "c"), "w", "c").line == 5
    assert document.fault(("z",), "w", "c").line == 1
    assert Document("f", None, {}).fault(("z",), "w", "c").line == 1


keys = st.text("abcdefgh", min_size=1, max_size=3)
trees = st.recursive(
    st.integers() | st.booleans() | st.none(),
    lambda inner: st.dictionaries(keys, inner, min_size=1, max_size=4) | st.lists(inner, min_size=1, max_size=4),
    max_leaves=20,
)


def _written(
    value: Any, indent: int, path: tuple[str | int, ...], lines: list[str], expected: dict[tuple[str | int, ...], int]
) -> None:
    """Block YAML with one key or item on each line, noting on which."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        here = (*path, key)
        lead = " " * indent + (f"{key}:" if isinstance(value, dict) else "-")
        if isinstance(inner, dict | list):
            lines.append(lead)
            # an item that is a collection begins on the line after its dash
            expected[here] = len(lines) if isinstance(value, dict) else len(lines) + 1
            _written(inner, indent + 2, here, lines, expected)
        else:
            lines.append(f"{lead} {'null' if inner is None else str(inner).lower()}")
            expected[here] = len(lines)


@given(tree=st.dictionaries(keys, trees, min_size=1, max_size=4))
def test_every_key_is_known_with_its_line_and_every_value_is_read(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    lines: list[str] = []
    expected: dict[tuple[str | int, ...], int] = {}
    _written(tree, 0, (), lines, expected)
    file = tmp_path_factory.getbasetemp() / "tree.yaml"
    file.write_text("\n".join(lines))
    document = read(file)
    assert document.values == tree
    assert document.lines == {(): 1} | expected


_LAW = Path(lined_yaml.__file__).parent


@pytest.mark.parametrize("ours", sorted(_LAW.rglob("*.yaml")), ids=lambda ours: ours.name)
def test_a_file_that_comes_with_the_receiver_reads_like_the_same_file_of_an_operator(ours: Path, tmp_path: Path) -> None:
    """The two are read by different parsers."""
    theirs = tmp_path / "theirs.yaml"
    theirs.write_bytes(ours.read_bytes())
    found, expected = read(ours), read(theirs)
    assert found.values
    assert (found.values, found.lines) == (expected.values, expected.lines)
