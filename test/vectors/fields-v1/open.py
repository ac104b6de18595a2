"""Opens the tokens beside it with Python's cryptography package, by docs/fields.md alone: python3 open.py"""

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

folder = Path(__file__).parent
keyring = json.loads((folder / "keyring.json").read_text())
keys = {key["id"]: base64.b64decode(key["material"]) for key in keyring["keys"] if "material" in key}
plain_key = bytes.fromhex((folder / "plain-key.txt").read_text())

for vector in json.loads((folder / "tokens.json").read_text()):
    header, body = vector["token"].rsplit(".", 1)
    key = plain_key if "keyVersion" in vector else keys.get(header.split(".")[1])
    if key is None:
        print("no key:", vector["what"])
        continue
    derived = HKDF(hashes.SHA256(), 32, None, b"librelog-backup/v1/field").derive(key)
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    value = AESGCM(derived).decrypt(raw[:12], raw[12:], f"{header}.{vector['context']}".encode())
    assert value == base64.b64decode(vector["valueBase64"]), vector["what"]
    print("opened:", vector["what"])
