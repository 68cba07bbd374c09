"""Encryption at rest, queue by queue (``notifications`` 11).

A queue with ``_enable_encrypt_messages`` has its messages encrypted with
AES-256-GCM before they are stored. Each encrypted body starts with a mark and the id
of its key, so that stored messages stay readable when a queue's encryption is switched
on or off, or the key changes. The project is bound into the ciphertext: a body that
was moved into another project's queue cannot be decrypted.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from zaqarserver.errors import BadRequest, SettingsError
from zaqarserver.stages.base import Stage, StageContext

LOG = logging.getLogger(__name__)

SWITCH = "_enable_encrypt_messages"
#: JSON text never begins with it. Key id, nonce and ciphertext follow.
MARK = b"\x00ZE1"
_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD = len(MARK) + _ID_BYTES + _NONCE_BYTES
LEAST_KEY = 16  # characters
#: Shown for a message whose key this server does not have.
UNREADABLE = b'{"error": "This message cannot be decrypted by this server."}'


class Encryption(Stage):
    """Encrypts the messages of queues with ``_enable_encrypt_messages``.

    Args:
        keys: Key texts; the first encrypts, all decrypt.
    """

    reads = True
    switch = SWITCH

    def __init__(self, keys: tuple[str, ...]) -> None:
        derived = [_derive(text) for text in keys]
        self._keys = {_key_id(key): AESGCM(key) for key in derived}
        self._newest = _key_id(derived[0]) if derived else None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Use ``message_encryption_key`` and ``message_encryption_old_keys``."""
        newest = settings["message_encryption_key"]
        keys = (*([newest] if newest else []), *settings["message_encryption_old_keys"])
        for key in keys:
            if len(key) < LEAST_KEY:
                raise SettingsError(
                    "[transport] message_encryption_key must have at least "
                    f"{LEAST_KEY} characters, for example the output of "
                    "`openssl rand -hex 32`."
                )
        return cls(keys)

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Refuse to switch on encryption without a key."""
        if metadata.get(SWITCH) and self._newest is None:
            raise BadRequest(
                f"{SWITCH} cannot be true: this server has no message_encryption_key."
            )

    def post(self, context: StageContext, body: bytes) -> bytes:
        """Encrypt the body if the queue's metadata says so."""
        if not context.metadata.get(SWITCH):
            return body
        if self._newest is None:
            raise BadRequest(
                "This queue encrypts its messages, and the server has no "
                "message_encryption_key."
            )
        nonce = os.urandom(_NONCE_BYTES)
        text = self._keys[self._newest].encrypt(nonce, body, context.project.encode())
        return MARK + self._newest + nonce + text

    def read(self, context: StageContext, body: bytes) -> bytes:
        """Decrypt an encrypted body; replace one that cannot be decrypted."""
        if not body.startswith(MARK):
            return body
        id_ = body[len(MARK) : len(MARK) + _ID_BYTES]
        nonce = body[len(MARK) + _ID_BYTES : _HEAD]
        key = self._keys.get(id_)
        if key is not None:
            try:
                return key.decrypt(nonce, body[_HEAD:], context.project.encode())
            except InvalidTag:
                pass
        LOG.error("a message cannot be decrypted; it was made with key %s", id_.hex())
        return UNREADABLE


def _derive(text: str) -> bytes:
    """Return the 256-bit key derived from a key text."""
    deriver = HKDF(SHA256(), length=32, salt=None, info=b"zaqar message body v1")
    return deriver.derive(text.encode())


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"id" + key).digest()[:_ID_BYTES]
