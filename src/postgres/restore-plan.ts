/** What to take out of an archive, and how. Names are exact, case-sensitive, and without a schema in front. */
export interface RestoreRequest {
  readonly schemas?: readonly string[] | undefined;
  readonly tables?: readonly string[] | undefined;
  readonly noOwner?: boolean | undefined;
  readonly noPrivileges?: boolean | undefined;
}

export interface RestorePlan {
  readonly args: readonly string[];
  /** Only a part of the archive is restored, so pg_restore may not need all of it. */
  readonly isSelective: boolean;
}

/** The arguments of pg_restore that decide what is restored; those that decide how are added where it is started. */
export function planPgRestore(request: RestoreRequest): RestorePlan {
  const { schemas = [], tables = [] } = request;
  const isSelective = schemas.length + tables.length > 0;
  const args = [
    ...schemas.map((schema) => `--schema=${schema}`),
    ...tables.map((table) => `--table=${table}`),
    // Without it a misspelt name restores nothing, successfully.
    ...(isSelective ? ['--strict-names'] : []),
    ...(request.noOwner === true ? ['--no-owner'] : []),
    ...(request.noPrivileges === true ? ['--no-privileges'] : []),
  ];
  return { args, isSelective };
}
