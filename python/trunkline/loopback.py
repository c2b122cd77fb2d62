"""Whether a host is this machine: the only place where addresses without TLS are accepted."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port and brackets, is this machine's own: 127.0.0.0/8, ::1 or `localhost`.

    Names are not looked up: what a resolver answers may change between the check and the connection.
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
