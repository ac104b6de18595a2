#!/bin/sh
# Makes the frozen messages, into an empty folder. The keys and messages differ each time: for new vectors only.
set -eu
out=$1
GNUPGHOME=$(mktemp -d /tmp/gpg-XXXXXX)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
pgp() { gpg --batch --quiet --no-tty --trust-model always --pinentry-mode loopback "$@"; }

pgp --passphrase '' --quick-generate-key 'ecc <ecc@example.com>' ed25519 default never
ecc=$(pgp --with-colons --list-keys ecc@example.com | awk -F: '/^fpr/ { print $10; exit }')
pgp --passphrase '' --quick-add-key "$ecc" cv25519 encr never
pgp --passphrase 'locked key' --quick-generate-key 'locked <locked@example.com>' rsa2048 default never
locked=$(pgp --with-colons --list-keys locked@example.com | awk -F: '/^fpr/ { print $10; exit }')
pgp --passphrase 'locked key' --quick-add-key "$locked" rsa2048 encr never
pgp --armor --export ecc@example.com > "$out/ecc.cert.asc"
pgp --armor --export locked@example.com > "$out/locked.cert.asc"
pgp --armor --export-secret-keys ecc@example.com > "$out/ecc.key.asc"
pgp --armor --passphrase 'locked key' --export-secret-keys locked@example.com > "$out/locked.key.asc"

awk 'BEGIN {
  print "--\n-- PostgreSQL database dump\n--\n\nCOPY public.item (id, name, price) FROM stdin;"
  for (i = 1; i <= 700; i++) printf "%d\titem %d of this table\t%.4f\n", i, (i * 7919) % 1000, (i * 104729) % 100000 / 7
  print "\\.\n\n-- PostgreSQL database dump complete"
}' > "$out/dump.sql"

enc() { file=$1; shift; pgp "$@" --output "$out/$file" "$out/dump.sql"; }
enc ecc-default.gpg --recipient ecc@example.com --encrypt
enc ecc-none.gpg --recipient ecc@example.com --compress-algo none --encrypt
enc ecc-zip.gpg --recipient ecc@example.com --compress-algo zip --encrypt
enc ecc-zlib.gpg --recipient ecc@example.com --compress-algo zlib --encrypt
enc ecc-bzip2.gpg --recipient ecc@example.com --compress-algo bzip2 --encrypt
enc ecc-signed.gpg --recipient ecc@example.com --local-user ecc@example.com --sign --encrypt
enc ecc-armored.asc --recipient ecc@example.com --armor --encrypt
enc ecc-hidden.gpg --hidden-recipient ecc@example.com --encrypt
enc ecc-3des.gpg --recipient ecc@example.com --cipher-algo 3DES --encrypt
enc ecc-cast5.gpg --recipient ecc@example.com --cipher-algo CAST5 --compress-algo zlib --encrypt
enc locked-zlib.gpg --recipient locked@example.com --compress-algo zlib --encrypt
enc both.gpg --recipient ecc@example.com --recipient locked@example.com --encrypt
enc symmetric.gpg --passphrase 'pässword' --symmetric
enc symmetric-aes256-bzip2.gpg --passphrase 'pässword' --cipher-algo AES256 --compress-algo bzip2 --symmetric
enc symmetric-cast5.gpg --passphrase 'pässword' --cipher-algo CAST5 --symmetric
enc ecc-symmetric.gpg --passphrase 'pässword' --recipient ecc@example.com --symmetric --encrypt
pgp --local-user ecc@example.com --armor --detach-sign --output "$out/dump.sql.sig.asc" "$out/dump.sql"
