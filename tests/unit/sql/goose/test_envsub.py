"""The forms of `$VAR`, each as interpolate v0.0.2 reads it."""

import pytest

from migrator.sql.goose.envsub import SubstitutionError, expand


ENVIRON = {
    "V": "value",
    "EMPTY": "",
    "U": "äb",
    "É": "accent",
    "V1_x": "long",
    "V²": "two",
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("a $V b", "a value b", id="name"),
        pytest.param("${V}$V", "valuevalue", id="braces"),
        pytest.param("[$NONE${NONE}$EMPTY]", "[]", id="unset-is-empty"),
        pytest.param("$V1_x.$V²", "long.two", id="letters-digits-underscore"),
        pytest.param("$É", "accent", id="letters-beyond-ascii"),
        pytest.param("${V:-d}${EMPTY:-d}${NONE:-d}", "valuedd", id="default-if-empty"),
        pytest.param("${V-d}${EMPTY-d}${NONE-d}", "valued", id="default-if-unset"),
        pytest.param("${NONE:-${NONE-$V}}", "value", id="nested"),
        pytest.param("${NONE:-a;b 'c'}", "a;b 'c'", id="default-of-anything"),
        pytest.param("${V:2}", "lue", id="from"),
        pytest.param("${V:1:2}", "al", id="from-with-length"),
        pytest.param("${V: -2}", "ue", id="from-the-end"),
        pytest.param("${V:1:-1}", "alu", id="up-to-the-end"),
        pytest.param("${V:9}${V: -9:1}${V:3:-9}", "v", id="beyond"),
        pytest.param("${V:-2}", "value", id="minus-without-blank-is-a-default"),
        pytest.param("${U:2}", "b", id="bytes-not-characters"),
        pytest.param("${U:1:1}", "\udca4", id="half-a-character"),
        pytest.param("${V?no}${EMPTY?no}", "value", id="required"),
        pytest.param(r"\$V $$V $$$V", "$V $V $value", id="dollars"),
        pytest.param(r"\\ \a \\$V", r"\\ \a \\value", id="backslashes-stay"),
        pytest.param("$(ls) 5$", "$(ls) 5$", id="literal"),
        pytest.param("nothing", "nothing", id="nothing"),
    ],
)  # fmt: skip
def test_expansion(line: str, expected: str) -> None:
    """Each form of interpolate's grammar yields what it yields there."""
    assert expand(line, ENVIRON) == expected


@pytest.mark.parametrize(
    ("line", "reason", "position"),
    [
        pytest.param("a ${NONE?}", "$NONE: not set", 2, id="required"),
        pytest.param("${NONE?set $V}", "$NONE: set value", 0, id="required-with-message"),
        pytest.param("${V:?m}", "'?m' is not a number", 0, id="required-and-not-empty"),
        pytest.param("${V:}", "'' is not a number", 0, id="no-offset"),
        pytest.param("${V:1:}", "'' is not a number", 0, id="no-length"),
        pytest.param("${V:9223372036854775808}", "'9223372036854775808' is not a number", 0, id="beyond-64-bit"),
        pytest.param("${V+x}", "'+' is no operation", 0, id="alternative"),
        pytest.param("${V", "'' is no operation", 0, id="unclosed-name"),
        pytest.param("a ${V:-d", "'}' is missing", 2, id="unclosed-default"),
        pytest.param("$1", "a variable's name starts with a letter", 1, id="parameter"),
        pytest.param("$_X", "a variable's name starts with a letter", 1, id="underscore"),
        pytest.param("${_X}", "a variable's name starts with a letter", 2, id="underscore-in-braces"),
        pytest.param("$;", "a variable's name starts with a letter", 1, id="semicolon"),
        pytest.param("${#V}", "a variable's name starts with a letter", 2, id="length"),
        pytest.param("${NONE:-" * 5000, "it nests too deeply", 0, id="too-deep"),
    ],
)  # fmt: skip
def test_refusal(line: str, reason: str, position: int) -> None:
    """What interpolate refuses is refused, with the place in the line."""
    with pytest.raises(SubstitutionError) as caught:
        expand(line, ENVIRON)

    assert (caught.value.reason, caught.value.position) == (reason, position)


@pytest.mark.parametrize(
    ("line", "unset"),
    [
        pytest.param("$V a $NONE ${OTHER}", [("NONE", 5), ("OTHER", 11)], id="empty"),
        pytest.param("${NONE:1:2}", [("NONE", 0)], id="part-of-nothing"),
        pytest.param("$EMPTY ${NONE:-} ${NONE-}", [], id="meant-to-be-empty"),
        pytest.param("${NONE:-$OTHER} ${V:-$NONE}", [("OTHER", 8)], id="in-a-default"),
    ],
)
def test_variables_that_are_not_set(line: str, unset: list[tuple[str, int]]) -> None:
    """What becomes empty because nobody has set it is a warning with name and place."""
    found: list[tuple[str, int]] = []

    expand(line, ENVIRON, lambda name, position: found.append((name, position)))

    assert found == unset
