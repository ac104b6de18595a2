import { join } from 'node:path';
import type { Story } from './story.ts';

/** An OpenPGP key pair as secret references, good in every story. */
export interface OpenPgpPair {
  readonly certificate: string;
  readonly privateKey: string;
  readonly fingerprint: string;
  /** Folder and name in front of `.pub.asc`, `.key.asc` and `.rev.asc`. */
  readonly prefix: string;
}

/** Makes a pair with the command line itself, below the story's folder. */
export async function generatePair(story: Story, name: string, args = ''): Promise<OpenPgpPair> {
  const prefix = join(story.folder, name);
  const command = `keys generate openpgp --name ${name} --email ${name}@example.com --output ${prefix} ${args}`;
  const { fingerprint } = await story.ask<{ fingerprint: string }>(command);
  return { certificate: `file:${prefix}.pub.asc`, privateKey: `file:${prefix}.key.asc`, fingerprint, prefix };
}
