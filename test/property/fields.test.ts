import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assert as assertProperty, constantFrom, json, nat, property, string, tuple, uint8Array } from 'fast-check';
import { BackupError } from '../../src/core/backup-error.ts';
import { decryptField, encryptField } from '../../src/fields/encrypt-field.ts';
import { openFieldKeyring } from '../../src/fields/field-keyring.ts';
import { findMembers } from '../../src/core/json-members.ts';

const env = { KEY: '11'.repeat(32), OTHER: '22'.repeat(32) };
const keyring = await openFieldKeyring({ keys: ['env:KEY', 'env:OTHER'] }, { env });
const context = 'users.email';
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0é'.split('');
const contexts = string({ minLength: 1, unit: 'grapheme' });

/** For these kinds only: a changed key id may name a key that nobody has. */
function assertRefused(token: string, context: string): void {
  assert.throws(
    () => decryptField(keyring, token, { context }),
    (error) => error instanceof BackupError && (error.kind === 'integrity' || error.kind === 'key'),
    token,
  );
}

describe('field, whatever value and context', () => {
  it('comes back as it was', () => {
    assertProperty(
      property(uint8Array({ maxLength: 300 }), contexts, (value, context) => {
        const token = encryptField(keyring, value, { context });
        assert.match(token, /^[A-Za-z0-9_.-]+$/);
        assert.deepEqual(Uint8Array.from(decryptField(keyring, token, { context })), value);
      }),
    );
  });

  it('opens for no other context', () => {
    assertProperty(
      property(contexts, contexts, (context, other) => {
        if (context !== other) assertRefused(encryptField(keyring, 'alice', { context }), other);
      }),
    );
  });
});

describe('token', () => {
  const sizes = [0, 1, 2, 3, 17];

  it('is refused with any character replaced by any other', () => {
    for (const size of sizes) {
      const token = encryptField(keyring, 'x'.repeat(size), { context });
      for (let index = 0; index < token.length; index += 1) {
        for (const character of alphabet) {
          if (character !== token[index])
            assertRefused(token.slice(0, index) + character + token.slice(index + 1), context);
        }
      }
    }
  });

  it('is refused with any character removed, added, or any two exchanged', () => {
    for (const size of sizes) {
      const token = encryptField(keyring, 'x'.repeat(size), { context });
      for (let index = 0; index <= token.length; index += 1) {
        if (index < token.length) assertRefused(token.slice(0, index), context);
        for (const character of alphabet)
          assertRefused(token.slice(0, index) + character + token.slice(index), context);
      }
    }
    const token = encryptField(keyring, 'alice', { context });
    assertProperty(
      property(tuple(nat(token.length - 1), nat(token.length - 1)), ([one, other]) => {
        const characters = token.split('');
        [characters[one], characters[other]] = [characters[other] ?? '', characters[one] ?? ''];
        const exchanged = characters.join('');
        if (exchanged !== token) assertRefused(exchanged, context);
      }),
    );
  });

  it('is refused under the id of another key at hand', () => {
    const [one = '', other = ''] = [...keyring.keys.keys()];
    assertRefused(encryptField(keyring, 'alice', { context }).replace(one, other), context);
  });

  it('is refused with a part of another token', () => {
    const [one, other] = [encryptField(keyring, 'alice', { context }), encryptField(keyring, 'bobby', { context })];
    for (let index = 1; index < one.length; index += 1) {
      const spliced = one.slice(0, index) + other.slice(index);
      if (spliced !== one && spliced !== other) assertRefused(spliced, context);
    }
  });

  it('never fails with anything but our own error, whatever the text', () => {
    const start = constantFrom('', 'lbf1.', `lbf1.${keyring.active.id}.`, `lbf1.${keyring.active.id}..`, 'gAAAAA');
    assertProperty(property(start, string(), (start, rest) => assertRefused(start + rest, context)));
  });
});

describe('members of a JSON object', () => {
  it('are found where they stand, whatever the object', () => {
    assertProperty(
      property(json(), constantFrom('', ' ', '\t ', '  '), (text, space) => {
        const value: unknown = JSON.parse(text);
        const wrapped = `${space}{${space}"a" :${space}${text}${space},"b\\n":${text}}${space}`;
        const members = findMembers(wrapped);
        assert.deepEqual(
          members.map(({ name, start, end }) => [name, JSON.parse(wrapped.slice(start, end))]),
          [
            ['a', value],
            ['b\n', value],
          ],
        );
        for (const { start, end } of members) assert.equal(wrapped.slice(start, end), text);
      }),
    );
  });

  it('are refused for anything else, without repeating it', () => {
    for (const text of ['', '[]', '"hunter2"', '1', 'null', '{"a":1', '{"a":hunter2}', '{"a":1}{}', '{"a":1},']) {
      assert.throws(() => findMembers(text), { kind: 'integrity', message: /^not (JSON|a JSON object)$/ }, text);
    }
    assert.deepEqual(findMembers(' { } '), []);
  });
});
