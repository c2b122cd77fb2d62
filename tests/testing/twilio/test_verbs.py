"""How strictly the simulated Twilio reads a document."""

import pytest

from trunkline.testing.twilio.verbs import (
    Connect,
    Dial,
    DocumentRefused,
    Hangup,
    NotSimulated,
    Pause,
    PlayDigits,
    Redirect,
    Reject,
    Speak,
    Verb,
    read_twiml,
)

BASE = "https://gw.example.com/twilio/voice"


def read(body: str) -> list[Verb]:
    return read_twiml(f"<Response>{body}</Response>".encode(), "text/xml; charset=utf-8", base_url=BASE)


def test_the_golden_document() -> None:
    document = """<?xml version="1.0" encoding="UTF-8"?>
        <Response>
          <Connect action="https://gw.example.com/twilio/after" method="POST">
            <Stream url="wss://gw.example.com/twilio/media" name="trunk"
                    statusCallback="https://gw.example.com/twilio/stream"
                    statusCallbackMethod="POST">
              <Parameter name="token" value="one-time-secret"/>
              <Parameter name="tenant" value="7"/>
            </Stream>
          </Connect>
        </Response>"""
    assert read_twiml(document.encode(), "application/xml", base_url=BASE) == [
        Connect(
            url="wss://gw.example.com/twilio/media",
            name="trunk",
            parameters={"token": "one-time-secret", "tenant": "7"},
            status_callback="https://gw.example.com/twilio/stream",
            action="https://gw.example.com/twilio/after",
        )
    ]


@pytest.mark.parametrize(
    ("body", "verbs"),
    [
        ("", []),
        ("<Reject/>", [Reject("rejected")]),
        ('<Reject reason="busy"/>', [Reject("busy")]),
        ("<Hangup/>", [Hangup()]),
        ("<Redirect>/more?a=1&amp;b=2</Redirect>", [Redirect("https://gw.example.com/more?a=1&b=2", "POST")]),
        ('<Redirect method="GET">https://a.example</Redirect>', [Redirect("https://a.example", "GET")]),
        ('<Pause/><Pause length="60"/>', [Pause(1), Pause(60)]),
        ('<Play digits="12w#"/>', [PlayDigits("12w#")]),
        (
            '<Dial callerId="+1" action="/x"><Number>+15550100003</Number><Sip>sip:a@b</Sip></Dial>',
            [Dial(targets=("+15550100003", "sip:a@b"), action="https://gw.example.com/x")],
        ),
        ("<Dial>+15550100003</Dial>", [Dial(targets=("+15550100003",))]),
        ("<Say>hello</Say><Play>a.mp3</Play>", [Speak("hello"), NotSimulated("Play")]),
        ('<Connect><Stream url="/media"/></Connect>', [Connect(url="wss://gw.example.com/media")]),
    ],
)
def test_verbs(body: str, verbs: list[Verb]) -> None:
    assert read(body) == verbs


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("wss://gw.example.com/media", None),
        ("ws://127.0.0.1:8080/media", None),
        ("ws://[::1]:8080/media", None),
        ("wss://gw.example.com/media?token=1", 31920),
        ("wss://gw.example.com/media?", 31920),
        ("ws://gw.example.com/media", 31922),
        ("https://gw.example.com/media", 31922),
        ("wss:///media", 31923),
        ("wss://gw.example.com:port/", 31923),
        ("", 31923),
    ],
)
def test_stream_addresses(url: str, code: int | None) -> None:
    (connect,) = read(f'<Connect><Stream url="{url}"/></Connect>')
    assert isinstance(connect, Connect)
    assert (connect.refusal and connect.refusal[0]) == code


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<Reject", "well-formed"),
        ("<Say>caf\u00e9 & bar</Say>", "well-formed"),
        ("<Pause/><Reject/>", "not the first verb"),
        ('<Reject reason="tired"/>', "'tired' is not one of busy, rejected"),
        ('<Pause length="long"/>', "whole number"),
        ('<Pause length="0"/>', "whole number"),
        ('<Play digits="1x"/>', "cannot play"),
        ("<Dial/>", "nobody"),
        ('<Redirect method="PUT">/x</Redirect>', "'PUT'"),
        ('<Connect><Stream url="wss://a" track="both_tracks"/></Connect>', "'both_tracks'"),
        ('<Connect><Stream url="wss://a"><Parameter name="x"/></Stream></Connect>', "Parameters"),
        ('<Connect><Stream url="wss://a"><Param name="x" value="y"/></Stream></Connect>', "Parameters"),
    ],
)
def test_documents_that_twilio_would_not_obey(body: str, reason: str) -> None:
    with pytest.raises(DocumentRefused, match=reason) as refused:
        read(body)
    assert refused.value.code == 12100


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"<Response/>", "text/html", "content type"),
        (b"<Response/>", "", "content type"),
        (b"", "text/xml", "well-formed"),
        (b"<response/>", "text/xml", "root"),
        (b'<?xml version="1.0" encoding="none"?><Response/>', "text/xml", "well-formed"),
        (b'<!DOCTYPE Response [<!ENTITY a "b">]><Response>&a;</Response>', "text/xml", "type"),
        (b"\xff\xfe<Response/>", "text/xml", "well-formed"),
    ],
)
def test_answers_that_are_no_document(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(DocumentRefused, match=reason):
        read_twiml(body, content_type, base_url=BASE)
