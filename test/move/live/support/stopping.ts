import type { MoveProgress } from '../../../../src/index.ts'

export const STEPS = ['checking', 'copying', 'following', 'verifying', 'switching'] as const
export type Step = MoveProgress['step']

/** Stops a move at a step, with the reason 'enough'. */
export function stopping(at: Step) {
  const stop = new AbortController()
  const steps: Step[] = []
  const onProgress = ({ step }: MoveProgress): void => {
    steps.push(step)
    if (step === at) stop.abort('enough')
  }
  return { steps, options: { signal: stop.signal, onProgress } }
}
