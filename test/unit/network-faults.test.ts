import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isForeignToTls, isNetworkFault } from '../../src/core/network-faults.ts';

/** As Node 24 puts them, without the address of the thread and the line of the source. */
const notTls = 'error:0A00010B:SSL routines:tls_validate_record_header:wrong version number';
const noCommonCipher = 'error:0A000410:SSL routines:ssl3_read_bytes:ssl/tls alert handshake failure';

describe('faults of the network', () => {
  const passing: readonly (readonly [string, string])[] = [
    ['ECONNRESET', 'read ECONNRESET'],
    ['ENETDOWN', 'connect ENETDOWN'],
    ['ENETRESET', 'read ENETRESET'],
    ['EADDRNOTAVAIL', 'connect EADDRNOTAVAIL'],
    ['HPE_INVALID_CONSTANT', 'Parse Error'],
    // A bit of a record was flipped, on its way here, on its way there, in a header, and while the connection was made.
    [
      'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
      'error:0A000119:SSL routines:tls_get_more_records:decryption failed or bad record mac',
    ],
    [
      'ERR_SSL_CIPHER_OPERATION_FAILED',
      'error:1C800066:Provider routines:ossl_gcm_stream_update:cipher operation failed',
    ],
    [
      'ERR_SSL_SSL/TLS_ALERT_BAD_RECORD_MAC',
      'error:0A0003FC:SSL routines:ssl3_read_bytes:ssl/tls alert bad record mac',
    ],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'error:0A00010B:SSL routines:tls13_validate_record_header:wrong version number'],
    ['EPROTO', 'write EPROTO error:0A000119:SSL routines:tls_get_more_records:decryption failed or bad record mac'],
    ['EPROTO', 'write EPROTO error:0A00041A:SSL routines:ssl3_read_bytes:tlsv1 alert decode error'],
    ['EPROTO', 'write EPROTO error:02000086:rsa routines:ossl_rsa_verify_PKCS1_PSS_mgf1:last octet invalid'],
  ];
  for (const [code, text] of passing) {
    it(`takes for passing: ${code}, ${text}`, () => {
      assert.equal(isNetworkFault(code, text), true);
      assert.equal(isForeignToTls(text), false);
    });
  }

  const lasting: readonly (readonly [string, string])[] = [
    ['EPROTO', `write EPROTO ${notTls}`],
    ['ERR_SSL_WRONG_VERSION_NUMBER', notTls],
    ['EPROTO', `write EPROTO ${noCommonCipher}`],
    ['EPROTO', 'write EPROTO error:0A00042E:SSL routines:ssl3_read_bytes:tlsv1 alert protocol version'],
    [
      'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
      'error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required',
    ],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate'],
    ['EACCES', 'permission denied'],
    ['', 'whatever'],
  ];
  for (const [code, text] of lasting) {
    it(`takes for lasting: ${code}, ${text}`, () => {
      assert.equal(isNetworkFault(code, text), false);
      assert.equal(isForeignToTls(text), text.endsWith(notTls));
    });
  }
});
