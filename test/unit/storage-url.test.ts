import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { BackupError } from '../../src/core/backup-error.ts';
import { parseStoreUrl } from '../../src/storage/store-url.ts';

describe('parseStoreUrl', () => {
  const good = {
    'file:///var/backups': { scheme: 'file', path: '/var/backups' },
    'file://localhost/var/backups': { scheme: 'file', path: '/var/backups' },
    'file:/var/backups': { scheme: 'file', path: '/var/backups' },
    'file:///mnt/My%20Backups': { scheme: 'file', path: '/mnt/My Backups' },
    'file:///mnt/My Backups': { scheme: 'file', path: '/mnt/My Backups' },
    'FILE:///a': { scheme: 'file', path: '/a' },
    '/var/backups/': { scheme: 'file', path: '/var/backups' },
    '/odd?name#here%20': { scheme: 'file', path: '/odd?name#here%20' },
    './backups': { scheme: 'file', path: resolve('backups') },
    '../backups': { scheme: 'file', path: resolve('../backups') },
    '.': { scheme: 'file', path: resolve('.') },
    's3://bucket': { scheme: 's3', bucket: 'bucket', prefix: '' },
    's3://bucket/': { scheme: 's3', bucket: 'bucket', prefix: '' },
    'S3://bucket/a/b/': { scheme: 's3', bucket: 'bucket', prefix: 'a/b' },
    's3://my.dotted.bucket/a': { scheme: 's3', bucket: 'my.dotted.bucket', prefix: 'a' },
    's3://Old_Bucket/a': { scheme: 's3', bucket: 'Old_Bucket', prefix: 'a' },
    "s3://bucket/odd +%20&=@:'é日": { scheme: 's3', bucket: 'bucket', prefix: "odd +%20&=@:'é日" },
    'az://account1/backups': { scheme: 'az', account: 'account1', container: 'backups', prefix: '' },
    'AZ://account1/my-backups/a/b/': { scheme: 'az', account: 'account1', container: 'my-backups', prefix: 'a/b' },
    'az://account1/$root/a': { scheme: 'az', account: 'account1', container: '$root', prefix: 'a' },
    'gs://bucket': { scheme: 'gs', bucket: 'bucket', prefix: '' },
    'gs://my.dotted_bucket-1/a b/c/': { scheme: 'gs', bucket: 'my.dotted_bucket-1', prefix: 'a b/c' },
  } as const;
  for (const [text, expected] of Object.entries(good)) {
    it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(parseStoreUrl(text), expected));
  }

  const bad: Readonly<Record<string, RegExp>> = {
    '': /empty/,
    backups: /no scheme/,
    'backups/today': /no scheme/,
    '~/backups': /no scheme/,
    'file:backups': /not absolute/,
    'file://backups/today': /another machine/,
    'file:///a%2Fb': /cannot be decoded/,
    'file:///a%': /cannot be decoded/,
    'file:///a?x=1': /query/,
    's3://': /bucket is missing/,
    's3:///prefix': /bucket is missing/,
    's3:bucket': /bucket is missing/,
    's3://ab': /not a bucket name/,
    's3://-bucket': /not a bucket name/,
    's3://buck et/a': /not a bucket name/,
    's3://bucket//a': /not a usable prefix/,
    's3://bucket/a//b': /not a usable prefix/,
    's3://bucket/../other': /not a usable prefix/,
    's3://bucket/a?versionId=1': /query/,
    's3://bucket#a': /query string or a fragment/,
    's3://bucket/a\nb': /control character/,
    'az://': /storage account is missing/,
    'az://account': /container is missing/,
    'az://account/': /container is missing/,
    'az://My_Account/backups': /not a storage account/,
    'az://account/Backups': /not a container name/,
    'az://account/a--b': /not a container name/,
    'az://account/backups//a': /not a usable prefix/,
    'az://account/backups?sv=2024&sig=secret': /query/,
    'gs://': /bucket is missing/,
    'gs://Bucket': /not a bucket name/,
    'gs://bucket/../a': /not a usable prefix/,
    'ftp://host/a': /scheme "ftp" is unknown/,
    'https://bucket.s3.amazonaws.com/': /scheme "https" is unknown/,
    'constructor:x': /scheme "constructor" is unknown/,
  };
  for (const [text, message] of Object.entries(bad)) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseStoreUrl(text),
        (error) => {
          assert.ok(error instanceof BackupError);
          assert.equal(error.kind, 'config');
          assert.match(error.message, message);
          assert.match(error.hint ?? '', /\.$/);
          return true;
        },
      );
    });
  }

  for (const text of [
    's3://AKIAXYZ:topsecret@bucket/a',
    's3://bucket/a?X-Amz-Signature=topsecret',
    's3://bucket/a#topsecret',
    'file:///a?topsecret',
  ]) {
    it(`does not repeat what may be a secret in ${text.replace('topsecret', '…')}`, () => {
      assert.throws(
        () => parseStoreUrl(text),
        (error) => error instanceof BackupError && !/topsecret|AKIA/.test(error.message + error.hint),
      );
    });
  }
});
