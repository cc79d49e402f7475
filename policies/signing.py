"""Who vouches for a bundle: signing its file, and asking again before a robot moves.

A signature covers the manifest, and so, by its hashes, every member. A signature that is not of the contents makes a
bundle unusable; no signature, or one by a key that is not trusted here, does so only where one is required.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from policies import bundle as bundles
from policies import keys
from policies.bundle import Bundle


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whose signature a bundle bears."""

    key: str | None
    """What the key is called; None for a bundle without a signature."""
    trusted_as: str | None
    """Name of the trusted key's file; None if the key is not trusted here."""

    @property
    def trusted(self) -> bool:
        return self.trusted_as is not None


def sign(path: Path, private_key: Path, to: Path | None = None) -> str:
    """Sign the bundle `path`, in place or into the file `to`; returns its new digest.

    Equal bundles signed with equal keys are equal bytes; an older signature is replaced.

    Raises:
        FileNotFoundError, ValueError: no key, or no bundle that may be used.
    """
    private, bundle = keys.load_private(private_key), bundles.read(path)
    return bundles.seal(to or path, bundle, lambda message: keys.sign(message, private))


def verify(bundle: Bundle, *, require_signature: bool = False, trusted: Mapping[str, str] | None = None) -> Standing:
    """Whose signature the contents of `bundle`, as they are in memory now, bear.

    Args:
        bundle: The bundle.
        require_signature: Refuse it without a signature by a trusted key.
        trusted: Trusted keys, as of `policies.keys.trusted_keys`, which is asked if left out.

    Raises:
        BundleError: the signature is of other contents, or one is required and there is none, or of a stranger.
    """
    bundles.check_seal(bundle)
    signature = bundle.signature
    if signature is None and not require_signature:
        return Standing(key=None, trusted_as=None)
    return _judge(signature, keys.trusted_keys() if trusted is None else trusted, require_signature)


def _judge(signature: keys.Signature | None, trusted: Mapping[str, str], required: bool) -> Standing:
    key = None if signature is None else signature.key
    standing = Standing(key=key, trusted_as=None if key is None else trusted.get(key))
    if required and not standing.trusted:
        got = "it has none" if key is None else f"it has one by key {key}"
        raise bundles.BundleError(
            f"the bundle must be signed by a trusted key ({', '.join(trusted) or 'there are none'}), {got}; "
            f"have it signed (sim2real sign FILE --key KEY), or trust the signer: copy the public key to "
            f"{keys.trusted_folder()}"
        )
    return standing
