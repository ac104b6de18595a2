const pattern = /^manifest(?:\.([2-9]|[1-9]\d{1,8}))?\.json$/;

/** Name of one revision of a manifest in the folder of its backup: `manifest.json`, then `manifest.2.json` and so on. */
export function manifestName(revision: number): string {
  return revision === 1 ? 'manifest.json' : `manifest.${revision}.json`;
}

/** Which revision of a manifest has this name; `null` for the name of anything else. */
export function revisionOf(name: string): number | null {
  const match = pattern.exec(name);
  return match === null ? null : Number(match[1] ?? 1);
}

/** Whether the object of this key is a manifest, which every list reads: it must never need time to be read. */
export function isManifestKey(key: string): boolean {
  return revisionOf(key.split('/').at(-1) ?? '') !== null;
}
