import { AssertionError } from 'node:assert';
import type { DatabaseFingerprint } from './database-fingerprint.ts';

/** How many differences a message lists; the rest is counted. */
const shownDifferences = 20;

/** Throws an `AssertionError` that lists, object by object, how `actual` differs from `expected`. */
export function assertSameDatabase(actual: DatabaseFingerprint, expected: DatabaseFingerprint): void {
  const differences = describeDifferences(actual, expected);
  if (differences.length === 0) return;
  const shown = differences.slice(0, shownDifferences);
  if (shown.length < differences.length) shown.push(`… and ${differences.length - shown.length} more`);
  const message = `the databases differ:\n${shown.join('\n')}`;
  throw new AssertionError({ message, stackStartFn: assertSameDatabase });
}

/** One text per difference; none for equal databases. */
export function describeDifferences(actual: DatabaseFingerprint, expected: DatabaseFingerprint): string[] {
  return [
    ...compareMaps('table', describeRows(actual), describeRows(expected)),
    ...compareMaps('sequence', actual.sequences, expected.sequences),
    ...compareMaps('large object', actual.largeObjects, expected.largeObjects),
    ...compareSchemas(actual.schema, expected.schema),
    ...compareMaps('catalog:', actual.objects, expected.objects),
    ...compareMaps('database setting', actual.settings, expected.settings),
  ];
}

function describeRows({ rows }: DatabaseFingerprint): ReadonlyMap<string, string> {
  const texts = [...rows].map(
    ([table, { count, checksum }]) => [table, `${count} rows, checksum ${checksum}`] as const,
  );
  return new Map(texts);
}

function compareMaps(
  kind: string,
  actual: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): string[] {
  const names = new Set([...expected.keys(), ...actual.keys()]);
  return [...names].flatMap((name) => {
    const [is, shouldBe] = [actual.get(name), expected.get(name)];
    if (is === shouldBe) return [];
    return [`${kind} ${name}: ${is ?? 'missing'}; expected: ${shouldBe ?? 'none'}`];
  });
}

/** Compares the parts as sets first, so that one missing part does not make all later ones look different. */
function compareSchemas(actual: readonly string[], expected: readonly string[]): string[] {
  const missing = expected.filter((part) => !actual.includes(part)).map((part) => `schema: missing\n${indent(part)}`);
  const added = actual
    .filter((part) => !expected.includes(part))
    .map((part) => `schema: not expected\n${indent(part)}`);
  if (missing.length + added.length > 0) return [...missing, ...added];
  const moved = expected.findIndex((part, index) => part !== actual[index]);
  if (moved === -1 && actual.length === expected.length) return [];
  return [`schema: the same parts in another order or number, from part ${moved + 1} on`];
}

function indent(part: string): string {
  return part.replaceAll(/^/gm, '    ');
}
