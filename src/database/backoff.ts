const LONGEST_PAUSE_MS = 10
/** Milliseconds between two attempts: 1, 2, 4, 8, 10. */
export const nextPause = (pause: number): number => Math.min(pause * 2, LONGEST_PAUSE_MS)
/** Random jitter: two processes that collided should not collide again. */
export const jittered = (pause: number): number => pause * (0.5 + Math.random())
