import { Command } from 'commander';

/** One command of a program: enough for the list in `--help`, and where the rest is. */
export interface CommandEntry {
  readonly name: string;
  readonly description: string;
  /** What follows the name, as in `[options] <case>`. */
  readonly usage: string;
  load(): Promise<Command>;
}

/** Adds commands to a program; of them all only the one that the arguments name is loaded. */
export async function addCommands(
  program: Command,
  entries: readonly CommandEntry[],
  args: readonly string[],
): Promise<void> {
  const named = commandNamed(args);
  for (const entry of entries) program.addCommand(entry.name === named ? await entry.load() : listed(entry));
}

/** Good for programs whose own options take no values: the first word is the command, and `help` names another. */
function commandNamed(args: readonly string[]): string | undefined {
  const [first, second] = args.filter((arg) => !arg.startsWith('-'));
  return first === 'help' ? second : first;
}

/** Looks in `--help` as the command itself does. */
function listed({ name, description, usage }: CommandEntry): Command {
  const command = new Command(name).description(description);
  for (const word of usage.split(' ').filter(Boolean)) {
    if (word === '[options]') command.option('--any');
    else command.argument(word);
  }
  return command;
}
