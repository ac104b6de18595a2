import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import type { BackupError } from '../../src/core/backup-error.ts';
import { describeConnection, resolveConnection, withDatabase } from '../../src/postgres/connection.ts';

let home: string;
before(() => (home = mkdtempSync(join(tmpdir(), 'lb-home-'))));
after(() => rmSync(home, { recursive: true }));

/** What was decided, with the passwords in the open. */
function resolve(database: string | undefined, env: Record<string, string> = {}) {
  const connection = resolveConnection(database, { HOME: home, ...env });
  const servers = connection.servers.map(({ host, port }) => `${host}:${port}`);
  const passwords = connection.servers.map(({ password }) => password?.revealText());
  const { user, database: name, parameters } = connection;
  return { servers, passwords, user, database: name, parameters };
}

describe('a connection URI', () => {
  it('gives user, password, host, port and database', () => {
    assert.deepEqual(resolve('postgresql://ann:s3cret@db.example.com:5433/shop'), {
      servers: ['db.example.com:5433'],
      passwords: ['s3cret'],
      user: 'ann',
      database: 'shop',
      parameters: {},
    });
  });

  const forms: readonly (readonly [string, Partial<ReturnType<typeof resolve>>])[] = [
    ['postgres://ann@h', { servers: ['h:5432'], user: 'ann', database: 'ann' }],
    ['postgresql://h:/x', { servers: ['h:5432'], database: 'x' }],
    ['postgresql://a,b:6000,[::1]:7000/x', { servers: ['a:5432', 'b:6000', '::1:7000'] }],
    ['postgresql://%2Fvar%2Flib%2Fpg/x', { servers: ['/var/lib/pg:5432'] }],
    ['postgresql:///x?host=/run/pg&port=5555', { servers: ['/run/pg:5555'] }],
    ['postgresql:///x?host=a,b&port=1,2', { servers: ['a:1', 'b:2'] }],
    ['postgresql://h/x?port=7', { servers: ['h:7'] }],
    ['postgresql://p%40t:p%3A%2F%25%40%3F@h/d%20b', { user: 'p@t', passwords: ['p:/%@?'], database: 'd b' }],
    ['postgresql://u:a:b?c@h/x', { passwords: ['a:b?c'] }],
    ['postgresql://h/x?user=u&password=p%26q', { user: 'u', passwords: ['p&q'] }],
    [
      'postgresql://h/x?sslmode=verify-full&connect_timeout=5',
      { parameters: { sslmode: 'verify-full', connect_timeout: '5' } },
    ],
    ['postgresql://h/x?ssl=true', { parameters: { sslmode: 'require' } }],
    ['postgresql://h/x?options=-c%20geqo%3Doff', { parameters: { options: '-c geqo=off' } }],
    ['postgresql://h/x?application_name=', { parameters: {} }],
    ['postgresql://', { user: userInfo().username, database: userInfo().username }],
  ];
  for (const [uri, expected] of forms) {
    it(`reads ${uri}`, () => assert.deepEqual({ ...resolve(uri), ...expected }, resolve(uri)));
  }
});

describe('a key/value string', () => {
  const forms: readonly (readonly [string, Partial<ReturnType<typeof resolve>>])[] = [
    ['host=h port=6 dbname=x user=u', { servers: ['h:6'], database: 'x', user: 'u' }],
    ["  host = h\tpassword = 'a b\\'c\\\\d' ", { servers: ['h:5432'], passwords: ["a b'c\\d"] }],
    [String.raw`host=h password=a\ b\\c`, { passwords: [String.raw`a b\c`] }],
    ["host=h user='' dbname=''", { user: userInfo().username, database: userInfo().username }],
    ['host=a,b port=1', { servers: ['a:1', 'b:1'] }],
    ['hostaddr=10.0.0.1', { servers: ['10.0.0.1:5432'] }],
    ["host=h sslrootcert='/a b/root.crt'", { parameters: { sslrootcert: '/a b/root.crt' } }],
  ];
  for (const [text, expected] of forms) {
    it(`reads ${text}`, () => assert.deepEqual({ ...resolve(text), ...expected }, resolve(text)));
  }
});

describe('what the string leaves open', () => {
  it('a plain name is a database', () => {
    assert.equal(resolve('shop', { PGHOST: 'h' }).database, 'shop');
  });

  it('comes from the environment', () => {
    const env = { PGHOST: 'h', PGPORT: '7', PGUSER: 'u', PGPASSWORD: 'p', PGDATABASE: 'd', PGSSLMODE: 'require' };
    assert.deepEqual(resolve(undefined, env), {
      servers: ['h:7'],
      passwords: ['p'],
      user: 'u',
      database: 'd',
      parameters: { sslmode: 'require' },
    });
  });

  it('PGDATABASE is a name, never a URI', () => {
    assert.equal(resolve(undefined, { PGDATABASE: 'postgresql://h/x', PGHOST: 'h' }).database, 'postgresql://h/x');
  });

  it('the string comes before the service, the service before the environment', () => {
    const file = join(home, 'services.conf');
    writeFileSync(
      file,
      '# comment\n[other]\nhost=no\n\n[prod]\nhost=service-host\nport=6543\nuser=service-user\nuser=no\n',
    );
    const env = {
      PGSERVICEFILE: file,
      PGSERVICE: 'prod',
      PGHOST: 'env-host',
      PGUSER: 'env-user',
      PGDATABASE: 'env-db',
    };
    const expected = { servers: ['service-host:6543'], user: 'ann', database: 'env-db' };
    assert.deepEqual({ ...resolve('user=ann', env), ...expected }, resolve('user=ann', env));
    assert.deepEqual(resolve('service=other', env).servers, ['no:5432']);
  });

  it('a service may be in the home or in the system folder', () => {
    writeFileSync(join(home, '.pg_service.conf'), '[mine]\nhost=mine\n');
    mkdirSync(join(home, 'etc'));
    writeFileSync(join(home, 'etc', 'pg_service.conf'), '[ours]\nhost=ours\n');
    assert.deepEqual(resolve('service=mine').servers, ['mine:5432']);
    assert.deepEqual(resolve('service=ours', { PGSYSCONFDIR: join(home, 'etc') }).servers, ['ours:5432']);
    assert.throws(() => resolve('service=none'), { kind: 'config', message: /no definition of service "none"/ });
    rmSync(join(home, '.pg_service.conf'));
  });

  for (const [line, problem] of [
    ['service=x', /names another service/],
    ['nonsense=1', /line 2 .* is not a connection parameter/],
    ['ldap://h/x', /line 2 .* is not a connection parameter/],
  ] as const) {
    it(`refuses ${line} in a service file`, () => {
      const file = join(home, 'bad.conf');
      writeFileSync(file, `[bad]\n${line}\n`);
      assert.throws(() => resolve('service=bad', { PGSERVICEFILE: file }), { kind: 'config', message: problem });
    });
  }
});

/** libpq's variable for a password file with `text`. */
function passfile(text: string, mode = 0o600): Record<string, string> {
  const path = join(home, 'passfile');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return { PGPASSFILE: path };
}

const findPassword = (text: string, uri = 'postgresql://u@h:1/d') => resolve(uri, passfile(text)).passwords[0];

describe('the password file', () => {
  const lines: readonly (readonly [string, string | undefined])[] = [
    ['h:1:d:u:right', 'right'],
    ['*:*:*:*:any', 'any'],
    ['H:1:d:u:no', undefined],
    ['h:2:d:u:no\nh:1:x:u:no\nh:1:d:x:no\nx:1:d:u:no\n*:*:*:u:last', 'last'],
    ['#h:1:d:u:no\nh:1:d:u:first\nh:1:d:u:second', 'first'],
    [String.raw`h:1:d:u:a\:b\\c`, String.raw`a:b\c`],
    ['h:1:d:u:a:b', 'a'],
    ['h:1:d:u:ünï\r\n', 'ünï'],
    ['h:1:d:u', undefined],
    ['h:1:d:*x:no', undefined],
    ['', undefined],
  ];
  for (const [text, password] of lines) {
    it(`${JSON.stringify(text)} gives ${password ?? 'none'}`, () => assert.equal(findPassword(text), password));
  }

  it('escapes count in every field', () => {
    assert.equal(findPassword(String.raw`\:\:1:5432:a\\b:u:pw`, String.raw`host=::1 user=u dbname=a\\b`), 'pw');
  });

  it('knows the default socket folder as localhost, other folders by their path', () => {
    const env = passfile('localhost:*:*:*:local\n/srv/pg:*:*:*:folder\n');
    assert.deepEqual(resolve('dbname=x', env).passwords, ['local']);
    assert.deepEqual(resolve('host=/srv/pg dbname=x', env).passwords, ['folder']);
  });

  it('gives each server its own password', () => {
    const env = passfile('a:*:*:*:one\nb:*:*:*:two\n');
    assert.deepEqual(resolve('postgresql://a,b,c/x', env).passwords, ['one', 'two', undefined]);
  });

  it('is not asked when there is a password', () => {
    assert.deepEqual(resolve('postgresql://u:given@h/x', passfile('*:*:*:*:file')).passwords, ['given']);
  });

  it('is ~/.pgpass by default, or passfile= names it', () => {
    writeFileSync(join(home, '.pgpass'), 'h:*:*:*:home', { mode: 0o600 });
    assert.deepEqual(resolve('postgresql://h/x').passwords, ['home']);
    const { PGPASSFILE = '' } = passfile('h:*:*:*:named');
    assert.deepEqual(resolve(`host=h dbname=x passfile=${PGPASSFILE}`).passwords, ['named']);
    rmSync(join(home, '.pgpass'));
  });

  it('that others may read is ignored, with a warning', () => {
    const env = { HOME: home, ...passfile('*:*:*:*:open', 0o644) };
    const { servers, warnings } = resolveConnection('postgresql://h/x', env);
    assert.equal(servers[0].password, undefined);
    assert.match(warnings.join(), /is ignored: others may read it/);
  });
});

describe('a malformed connection string', () => {
  const password = 'hunter2';
  for (const text of [
    'mysql://u:hunter2@h/x',
    'http://h/x',
    'postgresql://u:hunter2@h:port/x',
    'postgresql://u:hunter2@h:0/x',
    'postgresql://u:hunter2@h:70000/x',
    'postgresql://u:hunter2@[::1/x',
    'postgresql://u:%ZZhunter2@h/x',
    'postgresql://u:%00hunter2@h/x',
    'postgresql://h/x?password=hunter2&unknown=1',
    'postgresql://h/x?password=a&hunter2=1',
    'postgresql://h/x?password',
    'postgresql://h/x?password=hunter2=',
    'postgresql://u:abc@hunter2@h/x',
    'postgresql://u:12/hunter2@h/x',
    'postgresql://u:hunter2/3@h/x',
    'host=h password=a hunter2',
    'host=h password=a hunter2=b',
    "host=h password='hunter2",
    'host=a,b port=1,2,3 password=hunter2',
    'host=a,b hostaddr=1.1.1.1,2.2.2.2,3.3.3.3 password=hunter2',
    'host=h nonsense=1',
    'x\0hunter2',
  ]) {
    it(`${JSON.stringify(text)} is refused without giving away its password`, () => {
      assert.throws(
        () => resolve(text),
        (error: BackupError) => {
          assert.equal(error.kind, 'config');
          assert.doesNotMatch(`${error.message} ${error.hint ?? ''}`, new RegExp(password));
          return true;
        },
      );
    });
  }

  it('names an unknown parameter where that is safe', () => {
    assert.throws(() => resolve('host=h nonsense=1'), { message: /unknown parameter "nonsense"/ });
  });

  it('a password with a line break is refused', () => {
    assert.throws(() => resolve('x', { PGPASSWORD: 'a\nb' }), { kind: 'config', message: /line break/ });
  });
});

const describeText = (text: string) => describeConnection(resolveConnection(text, { HOME: home }));

describe('describing a connection', () => {
  it('leaves secrets out', () => {
    const connection = resolveConnection('postgresql://u:hunter2@h/x?sslpassword=hunter3', { HOME: home });
    assert.equal(describeConnection(connection), 'postgresql://u@h:5432/x');
    assert.doesNotMatch(JSON.stringify(connection) + inspect(connection, { depth: 9 }), /hunter/);
  });
  it('is a URI that reads the same', () => {
    for (const uri of [
      'postgresql://u@h:5432/x',
      'postgresql://u@a:1,[::1]:2/d%20b',
      'postgresql://u@/x?host=/run/pg&port=9',
    ]) {
      assert.equal(describeText(uri), uri);
      assert.equal(describeText(describeText(uri)), uri);
    }
  });
  it('names the other database', () => {
    const connection = resolveConnection('postgresql://u@h/x', { HOME: home });
    assert.equal(describeConnection(withDatabase(connection, 'y')), 'postgresql://u@h:5432/y');
  });
});
