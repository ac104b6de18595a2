import type { Secret } from '../core/secret.ts';

/** Bytes in the largest code, version 40, at level M (ISO/IEC 18004, table of data capacities). */
export const maxQrCodeBytes = 2331;

/** Level M: a reader makes good 15 % of damage. The margin is the one that readers need. */
const drawing = { errorCorrectionLevel: 'M', margin: 4 } as const;
const pixelsPerModule = 8;

/** The same code twice. Both hold the secret. */
export interface QrCode {
  readonly png: Uint8Array;
  readonly svg: string;
}

/** A QR code of exactly these bytes; `null` when they are too many for one. */
export async function drawQrCode(content: Secret): Promise<QrCode | null> {
  if (content.sizeBytes > maxQrCodeBytes) return null;
  const { toBuffer, toString } = await import('qrcode');
  // One segment of bytes: given text, the library would mix modes, which some readers do not put together again.
  const segments = [{ data: content.reveal(), mode: 'byte' }] as const;
  const png = await toBuffer([...segments], { ...drawing, type: 'png', scale: pixelsPerModule });
  const svg = await toString([...segments], { ...drawing, type: 'svg' });
  return { png, svg };
}
