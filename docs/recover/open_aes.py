#!/usr/bin/env python3
"""Opens AES-256 backups of librelog-backup without librelog-backup.

Needs Python 3.9 or later and the package `cryptography`; the format is in docs/format.md, the steps in
docs/recover.md.

  open_aes.py open OBJECT OUTPUT --key-file KEY         write the content of an .aes object to a new file (- = stdout)
  open_aes.py header OBJECT                             print what the object says of itself (not verified)
  open_aes.py data-key MANIFEST --key-file KEY          check the manifest's seal and print its data key in hex

Instead of --key-file: --passphrase-file FILE, --ask-passphrase, or (open) --data-key-file FILE with what data-key
printed. Exit code 0 means that every byte was authenticated. After any other the output file is gone; what stdout got
by then is authentic, but not the whole.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import hashlib
import hmac
import json
import os
import re
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

MAGIC = b"LRBKAES1"
MAX_HEADER = 64 * 1024
SEGMENT = 1 << 20
TINK_HEADER = 1 + 32 + 7
TAG = 16
MAX_SCRYPT_MEMORY = 256 << 20


class Refused(Exception):
    """The input is damaged, or the key is wrong: the message says which."""


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(key)


def read_exactly(source, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise Refused("the object is cut: it ends inside its header")
    return data


# --- keys -----------------------------------------------------------------------------------------------------------


def parse_key(content: bytes) -> bytes:
    """32 bytes from raw, hex, base64 or base64url; blank lines and lines that start with # do not count."""
    if len(content) == 33 and content.endswith(b"\n"):
        content = content[:32]
    try:
        lines = [line.strip() for line in content.decode("ascii").splitlines()]
        text = "\n".join(line for line in lines if line and not line.startswith("#"))
        if re.fullmatch("[0-9a-fA-F]{64}", text):
            return bytes.fromhex(text)
        if re.fullmatch("[A-Za-z0-9+/_-]{43}=?", text):
            return base64.urlsafe_b64decode(text.rstrip("=").replace("+", "-").replace("/", "_") + "=")
    except UnicodeDecodeError:
        if len(content) == 32:
            return content
    raise Refused("the key file does not hold 32 bytes in hex, in base64 or raw")


def key_id(key: bytes) -> str:
    return hmac.new(key, b"librelog-backup/v1/key-id", hashlib.sha256).hexdigest()[:16]


def passphrase_key(passphrase: bytes, kdf: dict) -> bytes:
    salt, n, r, p = base64.b64decode(kdf["salt"]), kdf["n"], kdf["r"], kdf["p"]
    if kdf["name"] != "scrypt" or 128 * n * r > MAX_SCRYPT_MEMORY or 128 * n * r * p > 4 * MAX_SCRYPT_MEMORY:
        raise Refused("the passphrase parameters are out of bounds: the header is damaged or forged")
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase)


def key_encryption_key(wrapped: dict, args: argparse.Namespace):
    """The key that should open this wrapped key, or None when we hold nothing of its kind."""
    if wrapped["provider"] == "key" and args.key and wrapped["keyId"] == key_id(args.key):
        return args.key
    if wrapped["provider"] == "passphrase" and args.passphrase:
        return passphrase_key(args.passphrase, wrapped["kdf"])
    return None


def unwrap_data_key(wrapped_keys: list, args: argparse.Namespace) -> bytes:
    for wrapped in wrapped_keys:
        kek = key_encryption_key(wrapped, args)
        if kek is None:
            continue
        try:
            return aes_key_unwrap(kek, base64.b64decode(wrapped["wrapped"]))
        except InvalidUnwrap:
            continue
    wanted = [wrapped.get("keyId", "a passphrase") for wrapped in wrapped_keys]
    held = "key " + key_id(args.key) if args.key else "a passphrase"
    raise Refused(f"no key fits: wanted {', '.join(wanted)}; at hand: {held}")


# --- object: header, then Tink's streaming AEAD AES256_GCM_HKDF_1MB --------------------------------------------------


def read_header(source):
    """The header's JSON, the bytes under the MAC, and the MAC."""
    start = read_exactly(source, 12)
    if start[:8] != MAGIC:
        raise Refused("this is not an AES-256 object of librelog-backup, container version 1")
    (size,) = struct.unpack(">I", start[8:])
    if size > MAX_HEADER:
        raise Refused("the header is damaged: it claims to be too long")
    text = read_exactly(source, size)
    mac = read_exactly(source, 32)
    try:
        header = json.loads(text)
        if header["suite"] != "AES256_GCM_HKDF_1MB" or header["segmentBytes"] != SEGMENT:
            raise Refused("the header names a suite that this script does not know")
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("the header is damaged") from error
    return header, start + text, mac


def verify_header(header: dict, maced: bytes, mac: bytes, data_key: bytes) -> bytes:
    """The salt of a header that is proven to be the writer's."""
    salt = base64.b64decode(header["salt"])
    commitment = hkdf(data_key, salt, b"librelog-backup/v1/commitment")
    if not hmac.compare_digest(commitment, base64.b64decode(header["commitment"])):
        raise Refused("the object was encrypted under another data key, or its header was changed")
    mac_key = hkdf(data_key, salt, b"librelog-backup/v1/header-mac")
    if not hmac.compare_digest(mac, hmac.new(mac_key, maced, hashlib.sha256).digest()):
        raise Refused("the header was changed")
    return salt


def read_segments(source):
    """Ciphertext segments with their last-segment flag; one is read ahead to know it."""
    segment = source.read(SEGMENT)
    while True:
        following = source.read(SEGMENT)
        yield segment, not following
        if not following:
            return
        segment = following


def decrypt_payload(source, key: bytes, associated_data: bytes):
    """Plaintext, segment by segment, each authenticated before it is given out."""
    cipher, prefix = None, b""
    for number, (segment, is_last) in enumerate(read_segments(source)):
        if cipher is None:
            if len(segment) < TINK_HEADER + TAG or segment[0] != TINK_HEADER:
                raise Refused("the payload is cut or damaged at its start")
            cipher = AESGCM(hkdf(key, segment[1:33], associated_data))
            prefix, segment = segment[33:TINK_HEADER], segment[TINK_HEADER:]
        nonce = prefix + struct.pack(">IB", number, is_last)
        try:
            if number > 0 and len(segment) <= TAG:
                raise InvalidTag
            yield cipher.decrypt(nonce, segment, None)
        except InvalidTag as error:
            raise Refused(f"segment {number} was changed, cut, moved, or followed by other data") from error


def decrypt_object(source, args: argparse.Namespace):
    header, maced, mac = read_header(source)
    try:
        data_key = args.data_key or unwrap_data_key(header["wrappedKeys"], args)
        salt = verify_header(header, maced, mac, data_key)
        name = f"librelog-backup/v1/{header['backupId']}/{header['objectName']}"
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("the header is damaged") from error
    yield from decrypt_payload(source, hkdf(data_key, salt, b"librelog-backup/v1/payload"), name.encode())


# --- manifest -------------------------------------------------------------------------------------------------------


def canonical(manifest: dict) -> bytes:
    """RFC 8785, for what manifests hold: field names in ASCII, integers, no fractions."""
    sealed = {name: value for name, value in manifest.items() if name != "seal"}
    return json.dumps(sealed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def manifest_data_key(manifest: dict, args: argparse.Namespace) -> bytes:
    if manifest["encryption"]["method"] != "aes-256-gcm-hkdf-1mb":
        raise Refused("this backup is not encrypted with AES-256: it has no data key")
    data_key = unwrap_data_key(manifest["encryption"]["wrappedKeys"], args)
    seal_key = hkdf(data_key, b"", b"librelog-backup/v1/manifest")
    seal = base64.b64encode(hmac.new(seal_key, canonical(manifest), hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(seal, manifest["seal"]["value"]):
        raise Refused("the manifest was changed after it was sealed")
    return data_key


# --- commands -------------------------------------------------------------------------------------------------------


def open_output(path: str):
    if path == "-":
        return sys.stdout.buffer
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def run_open(args: argparse.Namespace) -> None:
    with open(args.object, "rb") as source:
        output = open_output(args.output)
        try:
            with output:
                for piece in decrypt_object(source, args):
                    output.write(piece)
        except BaseException:
            if args.output != "-":
                os.unlink(args.output)
            raise


def run_header(args: argparse.Namespace) -> None:
    with open(args.object, "rb") as source:
        print(json.dumps(read_header(source)[0], indent=2))


def run_data_key(args: argparse.Namespace) -> None:
    with open(args.manifest, "rb") as source:
        try:
            print(manifest_data_key(json.load(source), args).hex())
        except (ValueError, KeyError, TypeError) as error:
            raise Refused("the manifest is damaged") from error


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="open_aes.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(key=None, passphrase=None, data_key=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    opening = commands.add_parser("open", help="write the content of an .aes object to a file")
    opening.add_argument("object")
    opening.add_argument("output")
    opening.set_defaults(run=run_open)
    showing = commands.add_parser("header", help="print the header of an .aes object")
    showing.add_argument("object")
    showing.set_defaults(run=run_header)
    unwrapping = commands.add_parser("data-key", help="print the data key of a manifest")
    unwrapping.add_argument("manifest")
    unwrapping.set_defaults(run=run_data_key)

    for command in (opening, unwrapping):
        unlocking = command.add_mutually_exclusive_group(required=True)
        unlocking.add_argument("--key-file")
        unlocking.add_argument("--passphrase-file")
        unlocking.add_argument("--ask-passphrase", action="store_true")
        if command is opening:
            unlocking.add_argument("--data-key-file")
    return parser.parse_args()


def read_file(path: str) -> bytes:
    with open(path, "rb") as source:
        return source.read()


def read_secrets(args: argparse.Namespace) -> None:
    if getattr(args, "key_file", None):
        args.key = parse_key(read_file(args.key_file))
    if getattr(args, "data_key_file", None):
        args.data_key = parse_key(read_file(args.data_key_file))
    if getattr(args, "passphrase_file", None):
        args.passphrase = read_file(args.passphrase_file).split(b"\n")[0].removesuffix(b"\r")
    if getattr(args, "ask_passphrase", False):
        args.passphrase = getpass.getpass("Passphrase: ").encode("utf-8")


def main() -> int:
    args = parse_arguments()
    try:
        read_secrets(args)
        args.run(args)
    except (Refused, OSError) as error:
        print(f"open_aes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
