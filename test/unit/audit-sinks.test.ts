import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import type { AuditEvent } from '../../src/audit/audit-event.ts';
import { parseAuditSink } from '../../src/audit/audit-settings.ts';
import { verifyAudit } from '../../src/audit/verify-audit.ts';
import { parseSyslogAddress } from '../../src/audit/syslog-address.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import { createAuditLogUnderTest, encryptEvent, numberedEvent } from '../support/audit-log-under-test.ts';
import {
  receiveTcp,
  receiveUdp,
  receiveUnixDatagrams,
  receiveUnixStream,
  type SyslogReceiver,
} from '../support/syslog-receiver.ts';
import { waitUntil } from '../support/wait-until.ts';
import { writeFile } from 'node:fs/promises';

const failedEvent: AuditEvent = {
  action: 'key-access',
  outcome: 'failure',
  error: { kind: 'key', message: 'größe "x" \n] fehlt' },
  key: { source: 'env:KEY', purpose: 'unwrap' },
};

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const address = closed.address();
  closed.close();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

describe('syslog', () => {
  const receivers: Record<string, (path: string) => Promise<[SyslogReceiver, string]>> = {
    'over UDP': async () => {
      const receiver = await receiveUdp();
      return [receiver, `udp://127.0.0.1:${receiver.port}`];
    },
    'over TCP': async () => {
      const receiver = await receiveTcp();
      return [receiver, `tcp://127.0.0.1:${receiver.port}`];
    },
    'on a stream socket': async (path) => [await receiveUnixStream(path), `unix:${path}`],
    'on a datagram socket': async (path) => [await receiveUnixDatagrams(path), `unix:${path}`],
  };
  for (const [where, receive] of Object.entries(receivers)) {
    it(`${where} gets every line of the log in a message of RFC 5424`, async () => {
      using under = createAuditLogUnderTest();
      const [receiver, address] = await receive(join(under.folder, 'socket'));
      await using _receiver = receiver;
      const log = under.open({ sinks: [parseAuditSink(`syslog:${address}`)] });
      await log.prepare();
      await log.append(encryptEvent);
      await log.append(failedEvent);
      await Promise.all([log.append(numberedEvent(1)), log.append(numberedEvent(2))]);
      await waitUntil(() => receiver.messages.length >= 4, 'four messages arrive');
      const lines = await under.lines();
      assert.deepEqual(
        receiver.messages.map(({ text }) => text),
        lines,
      );
      const [first, second] = receiver.messages;
      const common = { facility: 10, appName: 'librelog-backup', procId: String(process.pid), structuredData: '-' };
      assert.partialDeepStrictEqual(first, { ...common, severity: 5, msgId: 'encrypt' });
      assert.partialDeepStrictEqual(second, { ...common, severity: 4, msgId: 'key-access' });
      if (!where.includes('datagram')) assert.equal(first?.timestamp, '2026-11-24T01:02:03.004Z');
    });
  }

  it('that is not there fails the event, though the file has it', async () => {
    using under = createAuditLogUnderTest();
    const port = await closedPort();
    const file = join(under.folder, 'file');
    await writeFile(file, '');
    for (const where of [`tcp://127.0.0.1:${port}`, `unix:${under.folder}/none`, `unix:${file}`]) {
      const sinks = [parseAuditSink(`syslog:${where}`)];
      const expected = { kind: 'storage', message: new RegExp(`^cannot write to syslog at ${where}: `) };
      await assert.rejects(under.open({ sinks }).append(encryptEvent), expected, where);
      await under.open({ sinks, onFailure: 'warn' }).append(encryptEvent);
    }
    assert.equal(under.warnings.length, 3);
    assert.partialDeepStrictEqual(await verifyAudit(under.path), { entries: 6, problem: null });
  });

  it('that is not there is found before there is an event', async () => {
    using under = createAuditLogUnderTest();
    const file = join(under.folder, 'file');
    await writeFile(file, '');
    const places = [`tcp://127.0.0.1:${await closedPort()}`, `unix:${under.folder}/none`, `unix:${file}`];
    for (const where of places) {
      const sinks = [parseAuditSink(`syslog:${where}`)];
      const expected = { kind: 'storage', message: new RegExp(`^cannot write to syslog at ${where}: `) };
      await assert.rejects(under.open({ sinks }).prepare(), expected, where);
      await under.open({ sinks, onFailure: 'warn' }).prepare();
    }
    assert.equal(under.warnings.length, 3);
    assert.deepEqual(await under.lines(), []);
  });

  it('has an address', () => {
    const cases: [string, object][] = [
      ['udp://logs.example', { transport: 'udp', host: 'logs.example', port: 514 }],
      ['tcp://logs.example', { transport: 'tcp', host: 'logs.example', port: 601 }],
      ['tcp://[::1]:6514', { transport: 'tcp', host: '::1', port: 6514 }],
      ['unix:/dev/log', { transport: 'unix', path: '/dev/log' }],
      ['unix:///run/log', { transport: 'unix', path: '/run/log' }],
    ];
    for (const [text, address] of cases) assert.deepEqual(parseSyslogAddress(text), { ...address, text });
    for (const text of [
      '',
      'logs.example',
      'http://a',
      'udp://',
      'udp://a:0',
      'tcp://a:70000',
      'tcp://a/b',
      'unix:log',
    ]) {
      assert.throws(() => parseSyslogAddress(text), { kind: 'config', message: /not the address/ }, text);
    }
  });
});

describe('a sink', () => {
  it('is named as the user writes it', () => {
    assert.deepEqual(parseAuditSink('stdout'), { kind: 'stdout' });
    assert.deepEqual(parseAuditSink('store'), { kind: 'store' });
    assert.partialDeepStrictEqual(parseAuditSink('syslog'), { address: { path: '/dev/log' } });
    assert.throws(() => parseAuditSink('stderr'), { kind: 'config', message: /cannot go to "stderr"/ });
  });

  it('on standard output gets the lines of the log', async () => {
    using under = createAuditLogUnderTest();
    const chunks: Buffer[] = [];
    const stdout = new Writable({ write: (chunk: Buffer, _, done) => (chunks.push(chunk), done()) });
    const log = under.open({ sinks: [{ kind: 'stdout' }] }, { stdout });
    await log.append(encryptEvent);
    await log.append(failedEvent);
    assert.equal(Buffer.concat(chunks).toString(), `${(await under.lines()).join('\n')}\n`);
  });

  it('in the store gets new objects that are the log again, in the order of their names', async () => {
    using under = createAuditLogUnderTest();
    const objects = new Map<string, string>();
    const putCopy = async (name: string, bytes: Uint8Array) => {
      assert.ok(!objects.has(name), name);
      objects.set(name, Buffer.from(bytes).toString());
    };
    const log = under.open({ sinks: [{ kind: 'store' }] }, { putCopy });
    await Promise.all(Array.from({ length: 20 }, async (_, index) => await log.append(numberedEvent(index))));
    const names = [...objects.keys()].toSorted();
    assert.ok(names.length < 20 && names.every((name) => /^[0-9a-f]{32}\/\d{12}\.jsonl$/.test(name)), names.join(' '));
    assert.equal(names.map((name) => objects.get(name)).join(''), `${(await under.lines()).join('\n')}\n`);
  });

  it('that fails does not keep the others from the event', async () => {
    using under = createAuditLogUnderTest();
    const names: string[] = [];
    const putCopy = async (name: string) => void names.push(name);
    const stdout = new Writable({ write: (_chunk, _, done) => done(new Error('EPIPE')) });
    stdout.on('error', () => {});
    const log = under.open({ sinks: [{ kind: 'stdout' }, { kind: 'store' }] }, { putCopy, stdout });
    await assert.rejects(log.append(encryptEvent), { kind: 'storage', message: /standard output: EPIPE/ });
    assert.deepEqual([names.length, (await under.lines()).length], [1, 1]);
    const denied = async () => {
      throw new BackupError('access', 'cannot store "x": denied');
    };
    const other = under.open({ sinks: [{ kind: 'store' }] }, { putCopy: denied });
    await assert.rejects(other.append(encryptEvent), { kind: 'access', message: 'cannot store "x": denied' });
  });
});
