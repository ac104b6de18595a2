import {
  parseKeyReference,
  redactReference,
  type SecretReference,
  type WrapperReference,
} from '../keys/secret-reference.ts';
import { audited } from './audited.ts';
import type { KeyUse } from './read-secrets.ts';

/** `parseKeyReference`, whose refusal is a failed access to a key; the event has nothing that may be a pasted secret. */
export async function parseAudited({
  reference,
  purpose,
  context,
}: KeyUse): Promise<SecretReference | WrapperReference> {
  return await audited({ action: 'key-access', context, isEvent: () => false }, async (subject) => {
    subject.key = { source: redactReference(reference), purpose };
    return await Promise.resolve(parseKeyReference(reference));
  });
}
