#!/bin/sh
# Makes the frozen files, into an empty folder. The salts differ each time: for new vectors only.
set -eu
out=$1
printf 'an old pässphrase\nnot this line\n' > "$out/passphrase.txt"
printf -- '--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.item (id integer, name text);\n' > "$out/dump.sql"
seq 1 100 | sed 's/.*/INSERT INTO public.item VALUES (&, '"'name of &'"');/' >> "$out/dump.sql"
enc() { openssl enc -aes-256-cbc -salt -pass "file:$out/passphrase.txt" "$@"; }
enc -md md5 -in "$out/dump.sql" -out "$out/md5.sql.enc"
enc -md sha256 -in "$out/dump.sql" -out "$out/sha256.sql.enc"
enc -pbkdf2 -in "$out/dump.sql" -out "$out/pbkdf2.sql.enc"
enc -pbkdf2 -iter 31000 -in "$out/dump.sql" -out "$out/pbkdf2-31000.sql.enc"
gzip -n -c "$out/dump.sql" | enc -out "$out/gzip-sha256.sql.gz.enc"
