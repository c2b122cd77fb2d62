"""TLS for simulators on loopback."""

import ssl

from trunkline.errors import MissingExtra


def loopback_tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server on loopback and for its clients, with a certificate that nobody else trusts.

    Raises:
        MissingExtra: The extra `testing` is not installed.
    """
    try:
        import trustme
    except ModuleNotFoundError as error:
        raise MissingExtra("testing", "tls=True of a simulator") from error
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1", "localhost", "::1").configure_cert(server)
    authority.configure_trust(client)
    return server, client
