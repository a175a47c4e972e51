"""The cases ask for what they prove."""

from urllib.parse import parse_qsl

from benchmarks.cases import CASES


def test_the_form_that_is_loaded_is_the_one_that_is_proved() -> None:
    (form,) = (case for case in CASES if case.name == "form")
    assert form.sample is not None and form.script_file is not None
    assert len(parse_qsl(form.sample.decode(), strict_parsing=True)) == 10
    assert f'wrk.body = "{form.sample.decode()}"' in form.script_file.read_text()
    assert f'wrk.headers["Content-Type"] = "{form.content_type}"' in form.script_file.read_text()


def test_the_bodies_that_are_loaded_are_as_long_as_those_that_are_proved() -> None:
    posts = [case for case in CASES if case.script == "post.lua"]
    assert [case.name for case in posts] == ["echo", "upload"]
    assert all(case.sample and case.arguments == (str(len(case.sample)),) for case in posts)
