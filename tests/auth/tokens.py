"""Tokens and keys as issuers make them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tbtwist.auth.tokens import TokenRules

NOW = 1_700_000_000.0
SECRET = b"t" * 64
OLD_SECRET = b"o" * 64
RULES = TokenRules((SECRET, OLD_SECRET))


def claims(**changes: Any) -> dict[str, Any]:
    """Return an access token's claims, as ToolBoxV2 makes them; None leaves one out."""
    basis: dict[str, Any] = {
        "sub": "u1",
        "user_id": "u1",
        "username": "Ann",
        "email": "ann@example.org",
        "level": 1,
        "provider": "",
        "type": "access",
        "iat": NOW - 10,
        "exp": NOW + 890,
        "jti": "j-1",
    }
    return {k: v for k, v in {**basis, **changes}.items() if v is not None}


def shared(
    secret: bytes = SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Return a token under a shared secret."""
    return jwt.encode(claims(**changes), secret, algorithm, headers)


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return an RSA key, the same for all tests."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(curve: str = "secp256r1") -> ec.EllipticCurvePrivateKey:
    """Return an elliptic key, the same for all tests."""
    return ec.generate_private_key(
        {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1()}[curve]
    )


def issued(
    kid: str | None = "k-rsa",
    algorithm: str = "RS256",
    key: Any = None,
    **changes: Any,
) -> str:
    """Return a token of an issuer; like Clerk's, it has no ``type``."""
    values = claims(
        **{"type": None, "user_id": None, "level": None, "jti": None, "sid": "sess_1"}
        | changes
    )
    headers = None if kid is None else {"kid": kid}
    private = key or (rsa_key() if algorithm == "RS256" else ec_key())
    return jwt.encode(values, private, algorithm, headers)


def jwk(kid: str | None, private: Any, **changes: Any) -> dict[str, Any]:
    """Return the public half of a key as a key set has it; None leaves out."""
    public = private.public_key()
    of = RSAAlgorithm if isinstance(private, rsa.RSAPrivateKey) else ECAlgorithm
    basis = json.loads(of.to_jwk(public)) | {"kid": kid} | changes
    return {name: value for name, value in basis.items() if value is not None}


def key_set(*keys: dict[str, Any]) -> bytes:
    """Return a key set; without ``keys`` that of `rsa_key` and `ec_key`."""
    found = keys or (jwk("k-rsa", rsa_key()), jwk("k-ec", ec_key()))
    return json.dumps({"keys": found}).encode()
