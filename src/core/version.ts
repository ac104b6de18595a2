/** Read from package.json at build time would need a bundler; kept equal to it by a test. */
export const productName = 'librelog-backup';
export const productVersion = '0.1.0';
