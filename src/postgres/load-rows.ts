import { dataScriptPreamble, demandRows, emptied, type CopyPiece, type DataScriptPiece } from './data-script.ts';
import type { RowSink, Session } from './session.ts';

/**
 * Loads the rows of a data script in one transaction, which is committed only when the script has ended well. Not through
 * psql, which looks at every row: that takes cores from the server where they share them. After an error the session is of
 * no more use. Errors: those of the script, `integrity` where the server has not taken as many rows of a table as there must
 * be, `postgres`, the signal's reason.
 */
export async function loadRows(session: Session, script: AsyncIterable<DataScriptPiece>): Promise<void> {
  let copy: { readonly piece: CopyPiece; readonly sink: RowSink } | undefined;
  for await (const piece of script) {
    if (piece.kind === 'copy') {
      if (copy === undefined) await session.query(`BEGIN;\n${dataScriptPreamble(piece.encoding)}`);
      copy = { piece, sink: await beginCopy(session, piece) };
    } else if (piece.kind === 'rows') {
      await copy?.sink.write(piece.bytes);
    } else if (piece.kind === 'end' && copy !== undefined) {
      demandRows(copy.piece, await copy.sink.end());
    }
  }
  if (copy !== undefined) await session.query('COMMIT');
}

async function beginCopy(session: Session, { table, target, isFrozen }: CopyPiece): Promise<RowSink> {
  if (isFrozen) await session.query(emptied(table));
  return await session.copyIn(`COPY ${target} FROM STDIN${isFrozen ? ' WITH (FREEZE)' : ''}`);
}
