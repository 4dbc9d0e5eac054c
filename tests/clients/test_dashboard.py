"""User search, user activity and event segmentation, against a stand-in that shares no code with the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from etl import errors
from etl.clients.amplitude import AmplitudeClient, SegmentationQuery, UserMatch, UserSearch
from tests.clients.service import BASIC, FakeTime, Reply, Seen, Service, as_json, fault

SEARCH, ACTIVITY, SEGMENTS = "/api/2/usersearch", "/api/2/useractivity", "/api/2/events/segmentation"
DAY = date(2024, 3, 2)


# User search


def test_a_search_gives_the_matches_and_how_they_were_found(client: AmplitudeClient, service: Service) -> None:
    entries = [
        {"user_id": "u-1042", "amplitude_id": 356896327775, "last_seen": "2024-03-02"},
        {"amplitude_id": "7", "user_id": None},
        {},
        1,
    ]
    service.on(SEARCH, as_json(matches=entries, type="match_user_prefix"))
    found = client.user_search("u-1")
    assert found == UserSearch((UserMatch(356896327775, "u-1042"), UserMatch(7, None)), "match_user_prefix")
    assert found.matches[0].raw == entries[0]
    assert (service.seen[0].query, service.seen[0].headers["authorization"]) == ([("user", "u-1")], BASIC)


def test_nobody_is_an_empty_result(client: AmplitudeClient, service: Service) -> None:
    service.on(SEARCH, as_json(matches=[], type="nomatch"))
    assert client.user_search(5) == UserSearch((), "nomatch")
    with pytest.raises(errors.ConfigurationError, match="nothing to search for"):
        client.user_search(" ")
    assert service.count(SEARCH) == 1


def test_a_search_is_repeated_and_its_text_is_in_no_error(client: AmplitudeClient, service: Service) -> None:
    service.on(SEARCH, fault(429, "slow"), Reply(502), Reply(200, b"<html>"), as_json(type="x"), as_json(matches=[], type="nomatch"))
    assert client.user_search("ann@example.com").type == "nomatch"
    service.on(SEARCH, fault(400, "bad"))
    with pytest.raises(errors.BadRequest) as caught:
        client.user_search("ann@example.com")
    assert "example.com" not in str(caught.value)


# User activity


def history(total: int, *, surplus: int = 1, known: bool = True) -> Callable[[Seen], Reply]:
    """Answers pages of `total` events, newest first; `surplus` more than asked, as the API's limit counts from zero."""

    def answer(seen: Seen) -> Reply:
        asked = dict(seen.query)
        offset, limit = int(asked["offset"]), int(asked["limit"])
        order = range(total) if asked["direction"] == "earliest" else range(total - 1, -1, -1)
        events = [{"uuid": f"e{index}", "event_type": "a"} for index in order][offset : offset + limit + surplus]
        return as_json(userData={"canonical_amplitude_id": 42 if known else 1, "num_events": total}, events=events)

    return answer


@pytest.mark.parametrize("surplus", [0, 1, 5])
@pytest.mark.parametrize(
    ("total", "most", "truncated"),
    [(0, 10, False), (1, 1, False), (3, 1, True), (9, 10, False), (10, 10, False), (11, 10, True), (30, 10, True),
     (1000, 1000, False), (1001, 1000, True), (2345, 5000, False), (2345, 2345, False), (2345, 2344, True)],
)  # fmt: skip
def test_pages_are_joined_and_truncation_is_told(
    client: AmplitudeClient, service: Service, total: int, most: int, truncated: bool, surplus: int
) -> None:
    service.on(ACTIVITY, history(total, surplus=surplus))
    found = client.user_activity(42, most=most)
    assert [event["uuid"] for event in found.events] == [f"e{index}" for index in range(total - 1, -1, -1)][:most]
    assert (found.truncated, found.found, found.user["num_events"]) == (truncated, True, total)
    assert service.count(ACTIVITY) <= most // 1000 + 2


def test_the_oldest_come_first_on_demand(client: AmplitudeClient, service: Service) -> None:
    service.on(ACTIVITY, history(5))
    found = client.user_activity("42", most=2, earliest=True, offset=1)
    assert ([event["uuid"] for event in found.events], found.truncated) == (["e1", "e2"], True)
    assert dict(service.seen[0].query)["direction"] == "earliest"


def test_an_event_on_two_pages_comes_once(client: AmplitudeClient, service: Service) -> None:
    events = [{"event_type": "a", "event_id": index} for index in range(1500)]
    first, second = events[:1100], [*events[1000:1500]]
    user = {"canonical_amplitude_id": 42, "num_events": 1500}
    service.on(ACTIVITY, as_json(userData=user, events=first), as_json(userData=user, events=second))
    assert [event["event_id"] for event in client.user_activity(42, most=3000).events] == list(range(1500))


@pytest.mark.parametrize(("total", "truncated"), [(1000, False), (1200, True)])
def test_a_server_that_does_not_go_on_is_left(client: AmplitudeClient, service: Service, total: int, truncated: bool) -> None:
    page = as_json(userData={"num_events": total}, events=[{"uuid": str(index)} for index in range(1000)])
    service.on(ACTIVITY, page)
    found = client.user_activity(42, most=5000)
    assert (len(found.events), found.truncated, service.count(ACTIVITY)) == (1000, truncated, 2)


def test_an_unknown_id_is_told_from_a_quiet_person(client: AmplitudeClient, service: Service) -> None:
    service.on(ACTIVITY, history(0, known=False), history(0))
    assert client.user_activity(42).found is False
    assert client.user_activity(42).found is True


@pytest.mark.parametrize(("amplitude_id", "given"), [("u-1042", {}), (42, {"most": 0}), (42, {"offset": -1})])
def test_what_cannot_be_asked_is_not(client: AmplitudeClient, service: Service, amplitude_id: int | str, given: dict[str, int]) -> None:
    with pytest.raises(errors.ConfigurationError):
        client.user_activity(amplitude_id, **given)  # type: ignore[arg-type]
    assert service.seen == []


def test_an_activity_without_its_parts_is_asked_for_again(client: AmplitudeClient, service: Service, time: FakeTime) -> None:
    service.on(ACTIVITY, as_json(userData={}), as_json(events=[]), history(1))
    assert len(client.user_activity(42).events) == 1
    assert time.slept == [1.0, 2.0]


# Event segmentation


def test_a_query_has_the_apis_names_and_its_answer_rows(client: AmplitudeClient, service: Service) -> None:
    data = {"series": [[2, 25], [3, 0]], "seriesLabels": [0, ["x", 1]], "seriesCollapsed": [[{"value": 27}], [{"value": 3}]],
            "xValues": ["2024-03-02", "2024-03-03"]}  # fmt: skip
    service.on(SEGMENTS, as_json(data=data))
    query = SegmentationQuery(
        {"event_type": "Order Completed", "group_by": [{"type": "event", "value": "total"}]},
        DAY,
        date(2024, 3, 3),
        second_event="Left",
        metric="sums",
        interval="weekly",
        users="active",
        segments=[{"prop": "country", "op": "is", "values": ["Norway"]}],
        group_by=["platform", "gp:plan"],
        limit=5,
        rolling_window=7,
        rolling_average=3,
    )
    found = client.event_segmentation(query)
    assert (found.labels, found.series, found.collapsed[0]) == ((0, ["x", 1]), ((2, 25), (3, 0)), [{"value": 27}])
    assert list(found.rows()) == [(0, "2024-03-02", 2), (0, "2024-03-03", 25), (["x", 1], "2024-03-02", 3), (["x", 1], "2024-03-03", 0)]
    asked = dict(service.seen[0].query)
    assert json.loads(asked.pop("e")) == {"event_type": "Order Completed", "group_by": [{"type": "event", "value": "total"}]}
    assert json.loads(asked.pop("e2")) == {"event_type": "Left"}
    assert json.loads(asked.pop("s")) == [{"prop": "country", "op": "is", "values": ["Norway"]}]
    assert asked == {
        "start": "20240302", "end": "20240303", "m": "sums", "i": "7", "n": "active", "g": "platform", "g2": "gp:plan", "limit": "5",
        "rollingWindow": "7", "rollingAverage": "3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("days", "more", "cost"),
    [
        (30, {}, 30),
        (90, {"group_by": ["platform"]}, 450),
        (1, {"group_by": ["platform", "country"]}, 9),
        (1, {"second_event": "b"}, 2),
        (1, {"event": {"event_type": "a", "group_by": [{"type": "user", "value": "c"}]}}, 5),
        (1, {"segments": [{"prop": "a"}, {"prop": "b"}]}, 3),
        (2, {"segments": [[{"prop": "a"}], [{"prop": "b"}]]}, 8),
        (10, {"segments": [{"prop": "a"}], "group_by": ["c"], "second_event": "b"}, 120),
    ],
)
def test_the_cost_is_estimated(days: int, more: dict[str, Any], cost: int) -> None:
    query = SegmentationQuery(
        **{"event": "a", "start": date(2024, 1, 1), "end": date.fromordinal(date(2024, 1, 1).toordinal() + days - 1), **more}
    )
    assert query.cost == cost


def test_a_query_that_costs_too_much_is_not_asked(client: AmplitudeClient, service: Service) -> None:
    query = SegmentationQuery("a", date(2024, 1, 1), date(2024, 12, 30), group_by=["platform"])
    with pytest.raises(errors.ConfigurationError) as caught:
        client.event_segmentation(query)
    assert str(caught.value) == (
        "The query costs too much: about 1,825, and 1,000 are allowed\n"
        "  Next: ask for fewer days at once, or with fewer groups and conditions"
    )
    assert service.seen == []
    service.on(SEGMENTS, as_json(data={"series": [], "seriesLabels": [], "xValues": []}))
    assert client.event_segmentation(query, most_cost=2000).cost == 1825


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"end": date(2024, 3, 1)}, "cannot end before it starts"),
        ({"end": date(2025, 3, 2)}, "covers at most 365 days: 366 days"),
        ({"interval": "hourly", "end": date(2024, 3, 9)}, "covers at most 7 days: 8 days"),
        ({"metric": "unique"}, "Unknown metric"),
        ({"interval": "yearly"}, "Unknown interval"),
        ({"users": "new"}, "any or active"),
        ({"group_by": ["a", "b", "c"]}, "At most two"),
        ({"metric": "sums"}, "needs a property"),
        ({"metric": "formula"}, "go together"),
        ({"formula": "A/B"}, "go together"),
        ({"limit": 1001}, "1 to 1,000"),
        ({"event": {}}, "needs a name"),
        ({"event": ""}, "needs a name"),
    ],
)
def test_a_query_that_cannot_be_is_not_made(given: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        SegmentationQuery(**{"event": "a", "start": DAY, "end": DAY, **given})


def test_an_event_that_does_not_exist_is_a_bad_request(client: AmplitudeClient, service: Service) -> None:
    service.on(SEGMENTS, fault(400, "Invalid event type a"))
    with pytest.raises(errors.BadRequest, match=r"Invalid event type a\n  Next: check the name of the event"):
        client.event_segmentation(SegmentationQuery("a", DAY, DAY))
    assert service.count(SEGMENTS) == 1


@pytest.mark.parametrize(
    "data",
    [None, {}, {"series": [1], "seriesLabels": [0], "xValues": ["x"]}, {"series": [[1, 2]], "seriesLabels": [0], "xValues": ["x"]},
     {"series": [[1]], "seriesLabels": [0, 1], "xValues": ["x"]}],
)  # fmt: skip
def test_lists_that_do_not_fit_together_are_no_answer(client: AmplitudeClient, service: Service, data: Any) -> None:
    service.on(SEGMENTS, as_json(data=data), as_json(data={"series": [[1]], "seriesMeta": [{"a": 1}], "xValues": ["x"]}))
    assert list(client.event_segmentation(SegmentationQuery("a", DAY, DAY)).rows()) == [({"a": 1}, "x", 1)]


def test_the_query_is_in_no_error(client: AmplitudeClient, service: Service) -> None:
    service.on(SEGMENTS, Reply(400))
    with pytest.raises(errors.BadRequest) as caught:
        client.event_segmentation(SegmentationQuery("a", DAY, DAY, segments=[{"prop": "email", "op": "is", "values": ["ann@example.com"]}]))
    assert "ann" not in str(caught.value)


def test_the_id_of_nobody_is_nobody(client: AmplitudeClient, service: Service) -> None:
    """Amplitude answers every unknown id with a person without anything whose id is 1: so for the id 1 itself."""
    service.on("/api/2/useractivity", as_json(userData={"canonical_amplitude_id": 1, "num_events": 0, "user_id": None}, events=[]))
    assert not client.user_activity(1).found
