import type { KeyAdmin, KeyVersion } from '../keys/key-admin.ts';
import { openKeyAdmin } from '../keys/open-key-admin.ts';
import type { SecretReference, WrapperReference } from '../keys/secret-reference.ts';
import { audited } from './audited.ts';
import type { UseCaseContext } from './use-case-context.ts';

type KeyReference = SecretReference | WrapperReference;

/** Makes a random key where the reference says. Errors: as `KeyAdmin.generate`, `config`. */
export async function generateKey(reference: KeyReference, context: UseCaseContext): Promise<KeyVersion> {
  return await change(reference, 'generate', context);
}

/** Makes a new version of a key the active one; the others stay for reading. Errors: as `KeyAdmin.rotate`, `config`. */
export async function rotateKey(reference: KeyReference, context: UseCaseContext): Promise<KeyVersion> {
  return await change(reference, 'rotate', context);
}

async function change(
  reference: KeyReference,
  action: keyof Pick<KeyAdmin, 'generate' | 'rotate'>,
  context: UseCaseContext,
): Promise<KeyVersion> {
  using admin = await openKeyAdmin(reference, context);
  return await audited({ action, context }, async (subject) => {
    subject.key = { source: reference.text, purpose: action };
    const made = await admin[action]();
    subject.key = { ...subject.key, id: made.keyId ?? undefined, version: made.version };
    return made;
  });
}
