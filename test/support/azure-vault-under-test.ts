import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { AzureIdentityDouble } from './azure-identity-double.ts';
import { AzureVaultDouble } from './azure-vault-double.ts';

export interface AzureVaultUnderTest {
  readonly identity: AzureIdentityDouble;
  /** For files of further vaults. */
  readonly folder: string;
  /** The vault of the test that runs: each has a new one, whose authority the process trusts meanwhile. */
  readonly vault: () => AzureVaultDouble;
}

/** Registers the hooks that give every test of a file a vault. */
export async function provideAzureVault(): Promise<AzureVaultUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'azure-vault-'));
  const identity = await AzureIdentityDouble.start();
  const usualAuthorities = getCACertificates('default');
  let vault: AzureVaultDouble | undefined;
  after(async () => {
    await identity[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });
  beforeEach(async () => {
    vault = await AzureVaultDouble.start(folder);
    vault.tokens.add(identity.token);
    setDefaultCACertificates([...usualAuthorities, await readFile(vault.caFile, 'utf8')]);
  });
  afterEach(async () => {
    setDefaultCACertificates(usualAuthorities);
    await vault?.[Symbol.asyncDispose]();
  });
  return {
    identity,
    folder,
    vault: () => {
      if (vault === undefined) throw new Error('no test runs');
      return vault;
    },
  };
}
