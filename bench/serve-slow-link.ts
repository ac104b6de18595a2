// A process of its own, so that its work is not that of the bench: a slow link to a port of this machine, until the
// parent goes. Sends its own port to the parent.
// node bench/serve-slow-link.ts PORT LATENCY-MS BYTES-PER-SECOND
import { SlowLink } from './slow-link.ts';

const [port = 0, latencyMs = 0, bytesPerSecond = 0] = process.argv.slice(2).map(Number);
const link = await SlowLink.start(port, { latencyMs, bytesPerSecond });
process.once('disconnect', () => void link[Symbol.asyncDispose]());
process.send?.(link.port);
