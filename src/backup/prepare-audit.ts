import type { UseCaseContext } from './use-case-context.ts';

/**
 * The same context, with an audit log that was prepared here, once: many short operations at once need not all wait for
 * its lock to do so. Errors: those of `AuditLog.prepare`.
 */
export async function prepareAudit(context: UseCaseContext): Promise<UseCaseContext> {
  const { audit } = context;
  await audit.prepare();
  return {
    ...context,
    audit: {
      prepare: async () => {},
      append: async (event) => await audit.append(event),
      describeHead: async () => await audit.describeHead(),
    },
  };
}
