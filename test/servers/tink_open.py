"""Tink's own AES256_GCM_HKDF_1MB, for a raw key: what our payload has to be compatible with.

  tink_open.py open|seal KEY_HEX ASSOCIATED_DATA < input > output

The key is a made-up one of a test, so it may be an argument.
"""

import sys

from tink import proto_keyset_format, secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, tink_pb2


def create_streaming_aead(key: bytes) -> streaming_aead.StreamingAead:
    """Tink's own template with `key` as its key material: no parameter is chosen here."""
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    parameters = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat.FromString(template.value).params
    streaming_key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(key_value=key, params=parameters)
    key_data = tink_pb2.KeyData(
        type_url=template.type_url,
        value=streaming_key.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC,
    )
    entry = tink_pb2.Keyset.Key(
        key_data=key_data,
        status=tink_pb2.ENABLED,
        key_id=1,
        output_prefix_type=tink_pb2.RAW,
    )
    keyset = tink_pb2.Keyset(primary_key_id=1, key=[entry])
    handle = proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


def main() -> None:
    command, key, associated_data = sys.argv[1], bytes.fromhex(sys.argv[2]), sys.argv[3].encode()
    streaming_aead.register()
    primitive = create_streaming_aead(key)
    if command == "open":
        with primitive.new_decrypting_stream(sys.stdin.buffer, associated_data) as stream:
            sys.stdout.buffer.write(stream.read())
    else:
        with primitive.new_encrypting_stream(sys.stdout.buffer, associated_data) as stream:
            stream.write(sys.stdin.buffer.read())


main()
