/**
 * Runs that every test run plays again, as `lyre sim` takes them: what it prints behind `replay` when a seed fails belongs
 * here, with what it had found.
 */
export const SEEDS: readonly (readonly [run: string, why: string])[] = [
  // One of each workload, at both fidelities.
  ['--seed 1 --nodes 8 --workload book --fidelity wire --minutes 5', 'a beginning'],
  ['--seed 2 --nodes 12 --workload book --fidelity message --minutes 5', 'a beginning'],
  ['--seed 3 --nodes 6 --workload flap --fidelity wire --minutes 3', 'a beginning'],
  ['--seed 4 --nodes 6 --workload flap --fidelity message --minutes 3', 'a beginning'],
  ['--seed 15 --nodes 12 --workload flashcrowd --fidelity wire --minutes 3', 'a beginning'],
  ['--seed 6 --nodes 20 --workload flashcrowd --fidelity message --minutes 3', 'a beginning'],
  ['--seed 7 --nodes 8 --workload rolling --fidelity wire --minutes 5', 'a beginning'],
  ['--seed 8 --nodes 12 --workload rolling --fidelity message --minutes 5', 'a beginning'],
  ['--seed 9 --nodes 8 --workload sleepers --fidelity wire --minutes 8', 'a beginning'],
  ['--seed 10 --nodes 12 --workload sleepers --fidelity message --minutes 8', 'a beginning'],
  ['--seed 11 --nodes 10 --workload soak --fidelity wire --minutes 20', 'a beginning'],
  ['--seed 16 --nodes 10 --workload soak --fidelity message --minutes 20', 'a beginning'],
  ['--seed 13 --nodes 8 --workload hostile --fidelity wire --minutes 5', 'a beginning'],
  ['--seed 17 --nodes 12 --workload hostile --fidelity message --minutes 5', 'a beginning'],
]
