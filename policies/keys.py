"""Ed25519 keys as files, signatures over bytes, and whose signatures are trusted here (RFC 8032).

A private key is a PEM that only its owner can read, a public key a PEM that ends in `.pub`. A key is called by the
first 32 hexadecimal digits of the sha256 of its 32 public bytes: 128 bits, so that finding another key of the same name
is as hard as forging a signature. Trusted are the keys in the folder SIM2REAL_TRUSTED_KEYS, else in
`~/.config/sim2real/trusted`, and that of the zoo.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FOLDER_VARIABLE = "SIM2REAL_TRUSTED_KEYS"
ZOO_KEYS = Path(__file__).parent / "zoo" / "keys"
SUFFIX = ".pub"
OTHERS = 0o077
"""Mode bits that let others than the owner at a file."""


class SignatureError(ValueError):
    """A signature that proves nothing; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Who vouches for some bytes, and the proof."""

    algorithm: Literal["ed25519"] = "ed25519"
    public_key: str
    """Hexadecimal, 32 bytes."""
    value: str
    """Hexadecimal, 64 bytes."""

    @property
    def key(self) -> str:
        """What the key is called."""
        return key_id(bytes.fromhex(self.public_key))

    def check(self, message: bytes) -> None:
        """Refuse any other `message` than the one that was signed.

        Raises:
            SignatureError: the signature is not of this message and key.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            public, value = bytes.fromhex(self.public_key), bytes.fromhex(self.value)
            if (public.hex(), value.hex()) != (self.public_key, self.value):  # one way of writing it down only
                raise ValueError("its digits must be lower case, without spaces")
            Ed25519PublicKey.from_public_bytes(public).verify(value, message)
        except InvalidSignature as error:
            raise SignatureError(f"the signature by key {self.key} is not one of these contents") from error
        except ValueError as error:
            raise SignatureError(f"the signature is damaged ({error})") from error


def key_id(public: bytes) -> str:
    """What a key is called."""
    return hashlib.sha256(public).hexdigest()[:32]


def generate(path: Path) -> tuple[str, Path]:
    """Write a new private key to `path` and its public half beside it; returns the key's name and the public file.

    Raises:
        FileExistsError: one of the files exists; a key is never overwritten.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, public = Ed25519PrivateKey.generate(), path.with_name(path.name + SUFFIX)
    if taken := [file for file in (path, public) if file.exists()]:
        raise FileExistsError(f"{taken[0]} exists, and a key is never overwritten: name another file")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _create(path, private.private_bytes(pem, pkcs8, serialization.NoEncryption()), 0o600)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    _create(public, private.public_key().public_bytes(pem, spki), 0o644)
    return key_id(private.public_key().public_bytes_raw()), public


def sign(message: bytes, private: "Ed25519PrivateKey") -> Signature:
    """The signature of `message`; the same each time."""
    return Signature(public_key=private.public_key().public_bytes_raw().hex(), value=private.sign(message).hex())


def load_private(path: Path) -> "Ed25519PrivateKey":
    """Read a private key.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no Ed25519 private key, or others can read it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = path.read_bytes()
    if path.stat().st_mode & OTHERS:
        raise ValueError(f"{path}: others can read this private key; chmod 600 {path}, or make a new one")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path}: expected a private key (PEM, no password), {error}; sim2real keygen FILE") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: expected an Ed25519 private key, got {type(key).__name__}; sim2real keygen FILE")
    return key


def load_public(path: Path) -> "Ed25519PublicKey":
    """Read a public key.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no Ed25519 public key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path}: expected a public key (PEM), {error}; sim2real keygen writes one") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path}: expected an Ed25519 public key, got {type(key).__name__}")
    return key


def trusted_folder() -> Path:
    """Where this user keeps the public keys that are trusted."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path.home() / ".config" / "sim2real" / "trusted"


def trusted_keys() -> dict[str, str]:
    """Name of each trusted key -> the file it comes from, without ending.

    Raises:
        ValueError: a file that is no public key, or a folder or file of the user's in which everyone can write.
    """
    theirs = trusted_folder()
    zoo, own = (sorted(folder.glob(f"*{SUFFIX}")) for folder in (ZOO_KEYS, theirs))
    for place in (theirs, *own):
        if place.exists() and place.stat().st_mode & stat.S_IWOTH:
            raise ValueError(f"{place}: everyone can write here, so it vouches for nobody; chmod o-w {place}")
    return {key_id(load_public(path).public_bytes_raw()): path.stem for path in (*zoo, *own)}


def _create(path: Path, data: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
