/** What a unit is made for. */
export interface UnitOptions {
  readonly edge: string;
  readonly user: string;
  /** Absolute paths. */
  readonly node: string;
  readonly program: string;
  readonly configFile: string;
  readonly dataDir: string;
  readonly nice: number;
  /** Hard ceiling of the system for this service, MB; undefined: none. */
  readonly memoryMax: number | undefined;
  /** Paths of sources and of the status of the hardware, to be read. */
  readonly reads: readonly string[];
}

/** systemd splits at spaces and expands % and $ in commands; quoted and doubled they stand for themselves. */
const quoted = (text: string): string =>
  `"${text
    .replace(/(["\\])/g, '\\$1')
    .replaceAll('%', '%%')
    .replaceAll('$', '$$$$')}"`;

/**
 * The systemd unit of a gateway: restarted when it fails or no longer gives a sign of life, and shut in: it may write its dataDir, speak
 * IP, and nothing else. MemoryDenyWriteExecute is left out, as V8 compiles code at run time.
 */
export function unitFile(o: UnitOptions): string {
  const lines = [
    '[Unit]',
    `Description=ecavg gateway ${o.edge.replaceAll('%', '%%')}`,
    'Wants=network-online.target',
    'After=network-online.target time-sync.target',
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=notify',
    'NotifyAccess=all',
    `ExecStart=${[o.node, o.program, '--config', o.configFile].map(quoted).join(' ')}`,
    `User=${o.user}`,
    'Restart=always',
    'RestartSec=5',
    // Wrong settings are not cured by starting again.
    'RestartPreventExitStatus=2',
    'WatchdogSec=120',
    'TimeoutStartSec=300',
    'TimeoutStopSec=20',
    `Nice=${o.nice}`,
    ...(o.memoryMax === undefined ? [] : [`MemoryMax=${o.memoryMax}M`]),
    'Environment=NODE_ENV=production',
    'UMask=0077',
    '',
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=',
    'AmbientCapabilities=',
    'ProtectSystem=strict',
    `ReadWritePaths=${quoted(o.dataDir)}`,
    ...o.reads.map((path) => `ReadOnlyPaths=${quoted(path)}`),
    'ProtectHome=read-only',
    'PrivateTmp=yes',
    'PrivateDevices=yes',
    'ProtectClock=yes',
    'ProtectControlGroups=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
    'ProtectProc=invisible',
    'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'LockPersonality=yes',
    'RemoveIPC=yes',
    'SystemCallArchitectures=native',
    'SystemCallFilter=@system-service',
    'SystemCallFilter=~@privileged @resources',
    // Its own priority, which power.nice sets.
    'SystemCallFilter=setpriority',
    'SystemCallErrorNumber=EPERM',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  ];
  return `${lines.join('\n')}\n`;
}
