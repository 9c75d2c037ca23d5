"""`Summary` to JUnit XML: one test case per limit or rule, so that any CI shows the gate."""

from __future__ import annotations

from xml.etree import ElementTree

from token_meter.report._formatting import cost_sentence, exact, xml
from token_meter.report._summary import Summary
from token_meter.report._view import DEFAULT_VIEW, View


def render_junit(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write the checks; without any, one passing case that states the cost."""
    checks = summary.checks
    failures = sum(c.status == "exceeded" for c in checks)
    suite = ElementTree.Element(
        "testsuite",
        name="token-meter",
        tests=str(max(1, len(checks))),
        failures=str(failures),
        errors="0",
        skipped=str(sum(c.status == "unknown" for c in checks)),
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (
        ("token_meter.cost_usd", exact(summary.totals.known_cost())),
        ("token_meter.spent_usd", exact(summary.totals.known_cost(spent=True))),
        ("token_meter.calls", str(summary.totals.calls)),
        ("token_meter.unpriced_calls", str(summary.totals.unpriced)),
        ("token_meter.partly_priced_calls", str(summary.totals.partly_priced)),
    ):
        if value:
            ElementTree.SubElement(properties, "property", name=name, value=value)
    for check in checks:
        name = check.rule or f"{check.field} of {check.scope}"
        case = ElementTree.SubElement(suite, "testcase", classname="token-meter", name=xml(name))
        if check.status == "exceeded":
            ElementTree.SubElement(case, "failure", message=xml(check.text), type="BudgetExceeded")
        elif check.status == "unknown":
            ElementTree.SubElement(case, "skipped", message=xml(check.text))
        elif check.status == "warn":
            ElementTree.SubElement(case, "system-out").text = xml(f"warning: {check.text}")
    if not checks:
        case = ElementTree.SubElement(suite, "testcase", classname="token-meter", name="cost")
        ElementTree.SubElement(case, "system-out").text = xml(cost_sentence(summary.totals))
    body = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>{body}</testsuites>\n'
