/** Data that the peers of the path cache share. */
import type { PathKey } from '../src/index.ts'

export const TTL_SECONDS = 86_400
/** The store's default. */
export const MOST_ENTRIES = 10_000

export const textKey = ({ source, destination, k }: PathKey): string => `${source}:${destination}:${k}`
