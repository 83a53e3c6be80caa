"""Which template a request is for, and why."""

import pytest

from contracts.planner import CreateProject
from services.planner.catalog import Catalog
from services.planner.findings import Refused
from services.planner.selection import Selection, select
from tests.planner.wishes import wish

CATALOG = Catalog.load()


def chosen(**request: object) -> Selection:
    return select(CreateProject.model_validate(request), CATALOG)


def test_the_requests_type_decides() -> None:
    selection = chosen(type="mobile_app", description="a website")

    assert selection.template == "mobile_app"
    assert selection.reasons == ("the request says type mobile_app",)


def test_an_unknown_type_is_refused_with_the_known_ones_and_a_guess() -> None:
    with pytest.raises(Refused) as caught:
        chosen(type="web_aplication")

    (problem,) = caught.value.problems
    assert caught.value.code == "unknown_template"
    assert problem.pointer == "/type"
    known = "api_service, mobile_app, web_application; did you mean web_application?"
    assert problem.message == f"there is no template 'web_aplication', only {known}"


@pytest.mark.parametrize(
    ("description", "template"),
    [
        ("E-commerce platform with user management", "web_application"),
        ("A blog", "web_application"),
        ("REST API for invoices", "api_service"),
        ("Endpoints for other programs", "api_service"),
        ("An iOS app for runners, with push notifications", "mobile_app"),
        ("ANDROID!", "mobile_app"),
    ],
)
def test_a_description_decides_by_its_words(description: str, template: str) -> None:
    assert chosen(description=description).template == template


def test_the_reasons_say_what_counted_how_much_and_how_the_others_did() -> None:
    selection = select(wish(type=None), CATALOG)

    assert selection.template == "web_application"
    assert selection.reasons == (
        "it can be done with react as frontend (+4)",
        "it can be done with fastapi as backend (+4)",
        "it can be done with postgresql as database (+4)",
        "the description says 'e-commerce' (+3)",
        "the description says 'platform' (+2)",
        "the description says 'user management' (+1)",
        "web_application 18 against api_service 4, mobile_app 4",
    )
    assert selection.scores == {"web_application": 18, "api_service": 4, "mobile_app": 4}


def test_a_word_of_the_title_counts_more() -> None:
    assert chosen(title="Shop").scores["web_application"] == 4.5
    assert chosen(description="Shop").scores["web_application"] == 3


def test_a_part_of_a_word_is_no_word() -> None:
    with pytest.raises(Refused):
        chosen(description="Kapitel, Restaurant, Webster")


def test_technologies_alone_decide() -> None:
    assert chosen(technologies={"mobile": "expo"}).template == "mobile_app"
    assert chosen(technologies={"frontend": "React"}).template == "web_application"


def test_equal_evidence_is_told() -> None:
    selection = chosen(technologies={"backend": "fastapi"})

    assert selection.template == "api_service"
    assert selection.reasons[-1] == (
        "as much speaks for mobile_app, web_application: the first by name was taken; say `type` to decide"
    )


@pytest.mark.parametrize("description", ["", "Make me happy", "…", "日本語"])
def test_a_description_that_says_nothing_is_refused(description: str) -> None:
    with pytest.raises(Refused) as caught:
        chosen(description=description)

    assert caught.value.code == "no_template"
    assert "say one of api_service, mobile_app, web_application" in str(caught.value)
