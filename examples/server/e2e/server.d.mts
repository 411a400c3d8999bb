// For tests in TypeScript.
export const authCode: string;
export function config(origins?: string[]): object;
export function start(settings: object): Promise<{ base: string; stop(): Promise<void> }>;
