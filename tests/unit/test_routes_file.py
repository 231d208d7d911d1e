"""`notify.yaml` and every mistake that can be made in it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from services.notifier import routes_file
from services.notifier.matching import Conditions
from services.notifier.routing import Route
from shared.errors import BadDocument

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
WHOLE = f"""
receivers:
  terminal: {{console: {{}}}}
  on-call:
    webhook: {{url: "https://example.com/hook", secret: {SECRET}, timeout: 2.5s}}
    concurrency: 8
  leads:
    email:
      to: lead@example.com
      from: Plazo <plazo@example.com>
      smtp: {{host: smtp.example.com, username: plazo, password_env: SMTP_PASSWORD}}
routes:
  - name: urgent
    match: {{type: breached, severity: [high, critical], attributes.level: 2, assignee: null, vip: true}}
    receivers: [on-call, leads]
    continue: true
  - receivers: [terminal]
"""
CONSOLE = "receivers: {terminal: {console: {}}}\n"
WEBHOOK = "receivers: {terminal: {console: {}}, a: {webhook: {%s}}}\nroutes: [{receivers: [terminal, a]}]\n"
MAIL = "receivers: {a: {email: {to: %s, from: p@example.com, smtp: {%s}}}}\nroutes: [{receivers: [a]}]\n"


def problems(text: str) -> list[str]:
    with pytest.raises(BadDocument) as caught:
        routes_file.parse(text, "notify.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_whole_file_is_read() -> None:
    routes = routes_file.parse(WHOLE, "notify.yaml")
    wanted = {
        "type": frozenset({"breached"}),
        "severity": frozenset({"high", "critical"}),
        "attributes.level": frozenset({"2"}),
        "assignee": frozenset({"null"}),
        "vip": frozenset({"true"}),
    }
    assert routes.routes == (
        Route("urgent", Conditions(wanted), ("on-call", "leads"), goes_on=True, line=13),
        Route("default", Conditions(), ("terminal",), line=17),
    )
    assert [receiver.channel for receiver in routes.receivers.values()] == ["console", "webhook", "email"]
    webhook = routes.receivers["on-call"].webhook
    assert webhook is not None
    assert webhook.timeout == 2.5


def test_a_file_says_what_waits_for_what() -> None:
    text = """
receivers:
  team:
    console: {}
    quiet_hours: {zone: Europe/Madrid, open: {mon-fri: 08:00-20:00}}
    rate_limit: 120/min
defaults: {group_by: [customer], group_wait: 10s}
inhibit: [{source: {match: {metric: resolution}}, target: {match: {type: warning}}, equal: [group]}]
routes:
  - receivers: [team]
    routes:
      - {name: calls, match: {kind: call}, group_by: ["..."]}
      - {name: vip, match: {priority: high}, group_wait: 0s}
"""
    routes = routes_file.parse(text, "notify.yaml")
    assert {name: (each.by, each.wait) for name, each in routes.groupings.items()} == {
        "default": (("customer",), 10_000_000),
        "default/vip": (("customer",), 0),
    }
    assert [(rule.name, rule.equal) for rule in routes.inhibit] == [("number 1", ("group",))]
    pace = routes.receivers["team"].rate_limit
    assert pace is not None
    assert (pace.count, pace.per) == (120, 60_000_000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # not YAML at all
        ("receivers: [", ": not YAML: "),
        # nothing in it
        ("", "notify.yaml:1: receivers: is required"),
        # a typing mistake in a key
        (CONSOLE + "routes: [{reciever: [terminal]}]", "notify.yaml:2: routes[0].reciever: is not known here"),
        # a receiver that does not exist
        (CONSOLE + "routes:\n  - receivers: [pager]", "notify.yaml:3: routes[0].receivers[0]: expected one of the rec"),
        # nobody would hear of what no route takes
        (CONSOLE + "routes: [{match: {kind: call}, receivers: [terminal]}]", "expected a last route without match"),
        (CONSOLE + "routes: [{receivers: [terminal], continue: true}]", "expected a last route without match"),
        (CONSOLE + "routes: []", "expected a last route without match"),
        # what waits for what, misspelled
        (
            "receivers: {terminal: {console: {}, rate_limit: 5}}\nroutes: [{receivers: [terminal]}]",
            "receivers.terminal.rate_limit: expected a number of messages in a time, like 120/min",
        ),
        (
            CONSOLE + "defaults: {group_wait: soon}\nroutes: [{receivers: [terminal]}]",
            "notify.yaml:2: defaults.group_wait: expected a length of time like 45s",
        ),
        (
            CONSOLE + "inhibit: [{source: {}}]\nroutes: [{receivers: [terminal]}]",
            "notify.yaml:2: inhibit[0].target: is required",
        ),
        # two routes of one name could not be told apart
        (CONSOLE + "routes: [{receivers: [terminal]}, {receivers: []}]", "another route is named 'default'"),
        # closed sets of values
        (CONSOLE + "routes: [{match: {type: broken}, receivers: []}]", "type: expected breached, cancelled, retracted"),
        (
            CONSOLE + "routes: [{match: {severity: worst}, receivers: []}]",
            "severity: expected critical, high, low, med",
        ),
        (CONSOLE + "routes: [{match: {kind: mail}, receivers: []}]", "kind: expected call, chat, ticket, got mail"),
        (CONSOLE + "routes: [{match: {group: []}, receivers: []}]", "expected at least one value"),
        (CONSOLE + "routes: [{match: {group: {a: b}}, receivers: []}]", "expected a value or a list of values"),
        # nobody is named, here or around it
        (
            CONSOLE + "routes: [{name: a, match: {kind: call}}, {receivers: []}]",
            "receivers: is required, here",
        ),
        # the same mistakes in a route within another
        (
            CONSOLE + "routes:\n- receivers: [terminal]\n  routes:\n  - {match: {kind: call}, receivers: [pager]}",
            "notify.yaml:5: routes[0].routes[0].receivers[0]: expected one of the receivers terminal, got 'pager'",
        ),
        (
            CONSOLE + "routes: [{receivers: [], routes: [{name: a, when: 'true'}, {name: a, when: 'false'}]}]",
            "routes[0].routes[1].name: another route is named 'default/a'",
        ),
        (CONSOLE + "routes: [{receivers: [], routes: [{math: {}}]}]", "routes[0].routes[0].math: is not known here"),
        # patterns
        (
            CONSOLE + "routes: [{regex: {policy: '('}, receivers: []}]",
            "regex.policy: expected a regular expr",
        ),
        (
            CONSOLE + "routes: [{regex: {policy: '(?=a)'}, receivers: []}]",
            "in the syntax of RE2: invalid",
        ),
        (
            CONSOLE + "routes: [{regex: {policy: [a]}, receivers: []}]",
            "expected a regular expression like",
        ),
        (
            CONSOLE + f"routes: [{{regex: {{policy: {'a' * 501}}}, receivers: []}}]",
            "at most 500 characters, got 501",
        ),
        (CONSOLE + "routes: [{regex: {policy: 'a{1000}{1000}'}, receivers: []}]", "in the syntax of RE2"),
        # expressions
        (
            CONSOLE + "routes: [{when: 'item.a ==', receivers: []}]",
            "when: line 1, column 10 of the expr",
        ),
        (
            CONSOLE + "routes: [{when: 'amount > 3', receivers: []}]",
            "expected a field, or an attribute",
        ),
        (CONSOLE + "routes: [{when: 'severity > 3', receivers: []}]", "some operation do not fit each"),
        (CONSOLE + "routes: [{when: 'elapsed_s + target_s', receivers: []}]", "but it gives 28800.0"),
        # a receiver has one channel
        ("receivers: {a: {}}\nroutes: [{receivers: [a]}]", "expected exactly one of console, webhook, email"),
        # webhooks
        (WEBHOOK % f"url: 'ftp://example.com', secret: {SECRET}", "expected a URL like https://example.com/hook"),
        (WEBHOOK % f"secret: {SECRET}", "receivers.a.webhook.url: is required"),
        (WEBHOOK % "url: 'https://example.com'", "expected exactly one of secret, secret_env, secret_file"),
        (WEBHOOK % "url: 'https://example.com', secret: hush", "expected a secret of"),
        (WEBHOOK % f"url: 'https://example.com', secret: {SECRET}, timeout: 10", ""),  # a plain number is seconds
        (WEBHOOK % f"url: 'https://example.com', secret: {SECRET}, timeout: 2m", "less than or equal to 60"),
        (WEBHOOK % f"url: 'https://example.com', secret: {SECRET}, timeout: soon", "expected a time like 15s"),
        # mails
        (MAIL % ("nobody", "host: h"), "receivers.a.email.to: expected an address like team@example.com"),
        (MAIL % ("[]", "host: h"), "expected at least one address"),
        (MAIL % ("a@example.com", "host: h, username: u"), "expected username together with one of password_env"),
        (MAIL % ("a@example.com", "host: h, tls: true, starttls: true"), "expected tls or starttls, not both"),
        (MAIL % ("a@example.com", "port: 70000, host: h"), "receivers.a.email.smtp.port"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(text: str, expected: str) -> None:
    if not expected:
        routes_file.parse(text, "notify.yaml")
        return
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_all_mistakes_are_told_at_once() -> None:
    text = CONSOLE + "routes:\n  - {match: {type: broken}, receivers: [terminal]}\n  - {reciever: [], when: a ==}\n"
    assert len(problems(text)) == 3


def test_a_secret_is_never_repeated_in_a_problem() -> None:
    text = WEBHOOK % "url: 'no url with pa55word', secret: hushhush"
    assert "pa55word" not in "".join(problems(text))
    assert "hushhush" not in "".join(problems(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a receiver that nobody uses
        ("receivers: {a: {console: {}}, b: {console: {}}}\nroutes: [{receivers: [a]}]", "receivers.b: no route names"),
        # a route behind one that takes all of it
        (
            CONSOLE + "routes:\n- {match: {kind: [call, chat]}, receivers: [], name: x}\n"
            "- {match: {kind: call, severity: low}, receivers: [terminal]}\n- {receivers: [terminal], name: y}",
            "notify.yaml:4: routes[1]: never reached: route x takes all of it before",
        ),
        # one within a route that is never reached itself, or that another before its route takes all of
        (
            CONSOLE + "routes:\n- {name: low, match: {severity: low}, receivers: []}\n- name: rest\n"
            "  receivers: [terminal]\n  routes:\n  - {name: a, match: {severity: low, kind: call}}",
            "notify.yaml:7: routes[1].routes[0]: never reached: route low takes all of it before",
        ),
        # one that asks for what the routes around it exclude
        (
            CONSOLE + "routes:\n- {name: x, match: {kind: [call, chat]}, receivers: [terminal], routes: [{match: "
            "{kind: ticket}}]}\n- {receivers: []}",
            "routes[0].routes[0]: never reached: what the routes around it take never has this kind",
        ),
        # a pattern takes all that is listed after it
        (
            CONSOLE + "routes:\n- {name: x, regex: {policy: 'acme-.*'}, receivers: [terminal]}\n"
            "- {match: {policy: [acme-gold, acme-silver]}, receivers: []}\n- {receivers: [], name: y}",
            "routes[1]: never reached: route x takes all of it before",
        ),
        # alerts in the clear
        (WEBHOOK % "url: 'http://example.com', secret_env: A", "use an https URL"),
        (WEBHOOK % f"url: 'https://example.com', secret: {SECRET}", "the secret stands in the file"),
        (
            "receivers: {a: {slack: {url: 'https://example.com/x'}}}\nroutes: [{receivers: [a]}]",
            "use url_env or url_file",
        ),
        ("receivers: {a: {teams: {url: 'http://example.com/x'}}}\nroutes: [{receivers: [a]}]", "use an https URL"),
        ("receivers: {a: {opsgenie: {key: abc}}}\nroutes: [{receivers: [a]}]", "the key stands in the file"),
        (
            "receivers: {a: {opsgenie: {key_env: A, api: 'http://example.com'}}}\nroutes: [{receivers: [a]}]",
            "use an https URL",
        ),
        (MAIL % ("a@example.com", "host: h, starttls: false, username: u, password_env: P"), "in the clear"),
    ],
)
def test_what_is_hardly_meant_is_found(text: str, expected: str) -> None:
    found = routes_file.findings(routes_file.parse(text, "notify.yaml"))
    assert [str(each) for each in found if expected in str(each)], found


def test_a_webhook_on_this_machine_may_be_plain_http() -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        routes = routes_file.parse(WEBHOOK % f"url: 'http://{host}:1/', secret_env: A", "notify.yaml")
        assert routes_file.findings(routes) == []


def test_a_route_that_continues_hides_no_later_one() -> None:
    text = CONSOLE + "routes: [{match: {kind: call}, receivers: [], continue: true}, {receivers: [terminal]}]"
    assert routes_file.findings(routes_file.parse(text, "notify.yaml")) == []


def test_a_route_that_is_reached_is_no_finding() -> None:
    text = (
        CONSOLE
        + """
routes:
- name: calls
  match: {kind: call}
  receivers: [terminal]
  routes:
  - {name: vip, match: {tags: vip}, routes: [{name: billing, match: {tags: billing}}]}
  - {name: late, when: elapsed_s > 2.0 * target_s, continue: true}
  - {name: later, when: elapsed_s > 3.0 * target_s}
- {name: vip, match: {tags: vip}, receivers: [terminal]}
- {receivers: []}
"""
    )
    assert routes_file.findings(routes_file.parse(text, "notify.yaml")) == []


def test_a_route_within_another_has_its_settings_where_it_gives_none_of_its_own() -> None:
    text = (
        CONSOLE
        + """
routes:
- name: acme
  match: {customer: acme}
  receivers: [terminal]
  routes:
  - {name: low, match: {severity: low}, receivers: []}
  - match: {kind: call}
    routes: [{when: cycle > 1}]
- {receivers: []}
"""
    )
    acme = Conditions({"customer": frozenset({"acme"})})
    calls = Conditions({"kind": frozenset({"call"})})
    found = {each.name: (each.receivers, each.around) for each in routes_file.parse(text, "notify.yaml").each()}
    assert found == {
        "acme": (("terminal",), ()),
        "acme/low": ((), (acme,)),
        "acme/number 2": (("terminal",), (acme,)),
        "acme/number 2/number 1": (("terminal",), (acme, calls)),
        "default": ((), ()),
    }


def test_the_sample_file_is_as_it_should_be() -> None:
    sample = Path(__file__).parents[2] / "deploy" / "local" / "notify.yaml"
    assert routes_file.findings(routes_file.parse(sample.read_text(), str(sample))) == []


def test_the_json_schema_takes_what_the_parser_takes() -> None:
    jsonschema.validate(yaml.safe_load(WHOLE), routes_file.json_schema())
