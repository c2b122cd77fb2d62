"""The documents: what stands in them, and what is refused."""

from xml.etree.ElementTree import canonicalize, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidConfig
from trunkline.wire.telephony.twilio import twiml

URL = "wss://gw.example.com/twilio/media"


def test_the_documents_are_the_golden_ones() -> None:
    document = twiml.connect_stream(
        URL,
        parameters={"token": "one-time-secret", "tenant": "7"},
        action="https://gw.example.com/twilio/after",
        name="trunk",
        status_callback="https://gw.example.com/twilio/stream",
    )
    assert document.startswith('<?xml version="1.0" encoding="UTF-8"?><Response>')
    golden = """<?xml version="1.0" encoding="UTF-8"?>
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
    assert canonicalize(document) == canonicalize(golden, strip_text=True)
    assert canonicalize(twiml.reject("busy")) == '<Response><Reject reason="busy"></Reject></Response>'
    assert canonicalize(twiml.reject()) == '<Response><Reject reason="rejected"></Reject></Response>'
    assert canonicalize(twiml.hangup()) == "<Response><Hangup></Hangup></Response>"


PRINTABLE = st.text(st.characters(exclude_categories=["C"]) | st.sampled_from("\t\n\r\"'<>&"), max_size=100)


@given(PRINTABLE.filter(bool), PRINTABLE)
def test_every_value_comes_back_as_it_was_given(key: str, value: str) -> None:
    document = twiml.connect_stream(URL, parameters={key: value}, name=value)
    stream = fromstring(document)[0][0]
    assert stream.get("name") == value
    assert stream[0].attrib == {"name": key, "value": value}


@pytest.mark.parametrize(
    "url",
    [
        "wss://gw.example.com",
        "wss://gw.example.com:8443/twilio/media",
        "ws://127.0.0.1:8080/media",
        "ws://127.8.9.10/media",
        "ws://[::1]:8080/media",
        "ws://localhost/media",
    ],
)
def test_addresses_that_twilio_would_dial(url: str) -> None:
    assert fromstring(twiml.connect_stream(url))[0][0].get("url") == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("wss://gw.example.com/media?token=secret", "query"),
        ("wss://gw.example.com/media?", "query"),
        ("wss://gw.example.com/media#part", "fragment"),
        ("ws://gw.example.com/media", "wss"),
        ("ws://10.0.0.1/media", "wss"),
        ("ws://localhost.example.com/media", "wss"),
        ("https://gw.example.com/media", "wss"),
        ("/media", "absolute"),
        ("wss:///media", "absolute"),
        ("wss://user:secret@gw.example.com/media", "without a user"),
        ("wss://gw.example.com:port/media", "cannot be read"),
        ("wss://[::1/media", "cannot be read"),
    ],
)
def test_addresses_that_twilio_would_not_dial(url: str, reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason) as refused:
        twiml.connect_stream(url)
    assert refused.value.field == "url"
    assert "secret" not in str(refused.value)


def test_parameters_have_a_limit() -> None:
    twiml.connect_stream(URL, parameters={"token": "x" * 495})
    with pytest.raises(InvalidConfig, match="more than 500 characters"):
        twiml.connect_stream(URL, parameters={"token": "x" * 496})
    twiml.connect_stream(URL, parameters={"token": "x" * 496}, max_parameter_chars=None)


@pytest.mark.parametrize("value", ["\x00", "\x1b[0m", "\ud800", "\ufffe"])
def test_characters_that_xml_cannot_hold_are_refused(value: str) -> None:
    with pytest.raises(InvalidConfig, match="cannot stand in XML"):
        twiml.connect_stream(URL, parameters={"token": value})


def test_a_reason_that_twilio_does_not_know_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="'rejected' or 'busy'"):
        twiml.reject("tired")  # type: ignore[arg-type]


def test_documents_for_running_calls_are_the_golden_ones() -> None:
    assert canonicalize(twiml.connect_stream(URL, digits="12w#")) == (
        f'<Response><Play digits="12w#"></Play><Connect><Stream url="{URL}"></Stream></Connect></Response>'
    )
    assert canonicalize(twiml.dial("+15550100003", caller_id="+15550100002", timeout=20, action="https://gw/x")) == (
        '<Response><Dial action="https://gw/x" callerId="+15550100002" method="POST" timeout="20">'
        "<Number>+15550100003</Number></Dial></Response>"
    )
    assert canonicalize(twiml.dial("sip:desk@pbx.example.com")) == (
        "<Response><Dial><Sip>sip:desk@pbx.example.com</Sip></Dial></Response>"
    )
    assert canonicalize(twiml.say("We are <closed> & out.")) == (
        "<Response><Say>We are &lt;closed&gt; &amp; out.</Say><Hangup></Hangup></Response>"
    )


@pytest.mark.parametrize(
    "to", ["", "5550100", "+", "+0155501", "+1555 0100", "+1" + "5" * 15, "sip:", "sip:a b@c", "tel:+1"]
)
def test_target_that_cannot_be_dialled_is_refused(to: str) -> None:
    with pytest.raises(InvalidConfig):
        twiml.dial(to)


@pytest.mark.parametrize("digits", ["", "1 2", "x", "1" * 33, "\uff11"])
def test_keys_that_cannot_be_played_are_refused(digits: str) -> None:
    with pytest.raises(InvalidConfig):
        twiml.connect_stream(URL, digits=digits)


@pytest.mark.parametrize("text", ["", " ", "\x00"])
def test_sentence_that_cannot_be_said_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig):
        twiml.say(text)
