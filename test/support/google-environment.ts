import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Hides the Google configuration of whoever runs the tests; restores everything when disposed. */
export async function ownGoogleEnvironment(): Promise<AsyncDisposable & { readonly folder: string }> {
  const saved = { ...process.env };
  const folder = await mkdtemp(join(tmpdir(), 'google-'));
  const isHidden = (name: string): boolean =>
    /^(google_|gcloud_|gce_|cloudsdk_|storage_emulator_host$|https?_proxy$|no_proxy$)/i.test(name);
  for (const name of Object.keys(process.env)) if (isHidden(name)) delete process.env[name];
  process.env['CLOUDSDK_CONFIG'] = folder;
  process.env['METADATA_SERVER_DETECTION'] = 'none';
  const restore = async (): Promise<void> => {
    process.env = saved;
    await rm(folder, { recursive: true });
  };
  return { folder, [Symbol.asyncDispose]: restore };
}
