"""The internet as a program on this machine sees it: every host is a vendor's simulator, reached through a proxy and trusted.

A program is pointed there by what the environment of any program may say (`HTTPS_PROXY`, `SSL_CERT_FILE`), and by nothing else.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import trustme

from tests.transport.connect_proxy import ConnectProxy, connect_proxy
from trunkline.testing import OpenAIRealtimeSimulator, QwenOmniSimulator, Say, ScriptedBrain

HOSTS = ("api.openai.com", "my-resource.openai.azure.com")
QWEN_HOSTS = ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "ws-1.ap-southeast-1.maas.aliyuncs.com")


@dataclass(frozen=True)
class Internet:
    """The vendors behind every name, and what a program needs in its environment."""

    vendor: OpenAIRealtimeSimulator
    qwen: QwenOmniSimulator
    environment: Mapping[str, str]


class _Everywhere(ConnectProxy):
    """Leads every connection to the port of a vendor."""

    def __init__(self, port: int, qwen_port: int) -> None:
        super().__init__()
        self.port = port
        self.qwen_port = qwen_port

    def port_of(self, target: str) -> int:
        return self.qwen_port if target.rpartition(":")[0] in QWEN_HOSTS else self.port


@asynccontextmanager
async def internet(directory: Path) -> AsyncIterator[Internet]:
    authority = trustme.CA()
    certificate = directory / "authority.pem"
    authority.cert_pem.write_to_path(str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS, *QWEN_HOSTS).configure_cert(tls)
    brain = ScriptedBrain(
        transcripts=("when do you open" for _ in count()), answers=lambda _: [Say("At seven.")], ms_per_character=20
    )
    async with (
        OpenAIRealtimeSimulator(brain=brain, tls=tls, transcription_delay=0) as vendor,
        QwenOmniSimulator(brain=brain, tls=tls, transcription_delay=0) as qwen,
        connect_proxy(_Everywhere(port_in(vendor.url), port_in(qwen.url))) as proxy,
    ):
        yield Internet(
            vendor,
            qwen,
            {
                "HTTPS_PROXY": f"http://{proxy}",
                "SSL_CERT_FILE": str(certificate),
                "OPENAI_API_KEY": "sk-test-0123456789",
                "AZURE_OPENAI_API_KEY": "azure-test-0123456789",
                "DASHSCOPE_API_KEY": "sk-qwen-0123456789",
                "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
                "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
            },
        )


def port_in(url: str) -> int:
    """The port of a simulator's address."""
    return int(url.split(":")[2].partition("/")[0])
