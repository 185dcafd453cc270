"""Dockerfile, docker-compose.yml and kindred.yaml without an engine: everything they name exists.

Files and folders, verbs of ./dev, verbs and options of `kindred`, names of the configuration, versions
that ./dev tests with, services that others wait for, and the Debian packages of the libraries
the program is linked with.
"""

import os
import re
import shlex
import subprocess

try:
    import yaml
except ImportError:
    print("skipped: no yaml for python3 here (package python3-yaml)")
    raise SystemExit(77)

from common import ROOT, expect, finish, kindred, read, run

DEV_ONLY = {"libc6", "libgcc-s1"}


class Faults(list):
    def check(self, condition, fault):
        Faults.checked += 1
        if not condition:
            self.append(fault)

    checked = 0


def instructions(text):
    """(word, rest) of each Dockerfile instruction, continued lines joined."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.M))
    for line in joined.splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def words(command):
    return command if isinstance(command, list) else shlex.split(command)


_help = {}


def help_of(verb):
    if verb not in _help:
        done = kindred(*([verb] if verb else []), "--help")
        _help[verb] = done.stdout + done.stderr if done.returncode == 0 else None
    return _help[verb]


def check_kindred(faults, where, arguments):
    """`arguments` of one call of kindred: its verb, sub-verb and options exist."""
    verb = arguments[0]
    text = help_of(verb)
    faults.check(text is not None and re.search(rf"^\s+{re.escape(verb)}\b", help_of("") or "", re.M),
                 f"{where}: kindred has no verb '{verb}'")
    if text is None:
        return
    rest = arguments[1:]
    if verb in ("topics", "schemas"):
        faults.check(rest and re.search(rf"\b{re.escape(rest[0])}\b", text), f"{where}: 'kindred {verb}' has no '{rest[:1]}'")
    for i, word in enumerate(rest):
        if word.startswith("-") and len(word) > 1:
            option = word.split("=")[0]
            faults.check(re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text + help_of("")),
                         f"{where}: 'kindred {verb}' has no option {option}")
            if option == "--set":
                check_name(faults, where, rest[i + 1].split("=")[0])


def config_names():
    done = kindred("config")
    expect(done.returncode == 0, f"kindred config fails: {done.stderr}")
    return set(re.findall(r"^\s*([a-z][\w.-]*)\b", done.stdout, re.M))


_names = set()


def check_name(faults, where, name):
    if not _names:
        _names.update(config_names())
    faults.check(name in _names or name.startswith("kafka."), f"{where}: the configuration has no '{name}'")


def kindred_calls(text):
    """The calls of kindred in a shell line."""
    for part in re.split(r"&&|\|\||[|;]", text):
        tokens = shlex.split(part)
        while tokens and (tokens[0] in ("exec", "until", "while", "!", "do") or "=" in tokens[0]):
            tokens = tokens[1:]
        if tokens and tokens[0].split("/")[-1] == "kindred":
            yield tokens[1:]


def check_dockerfile(faults):
    steps = list(instructions(read("Dockerfile")))
    help_text = run("./dev", "help").stdout
    kinds = [word for word, _ in steps]
    users = [rest for word, rest in steps if word == "USER"]
    faults.check(users and users[-1] not in ("root", "0"), "Dockerfile: the last stage runs as root")
    faults.check(kinds.count("FROM") >= 2, "Dockerfile: is not multi-stage")
    faults.check("HEALTHCHECK" in kinds, "Dockerfile: has no HEALTHCHECK")
    packages = set()
    for word, rest in steps:
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                faults.check((ROOT / source).exists(), f"Dockerfile: copies {source}, which is not there")
        for verb in re.findall(r"\./dev ([a-z]+)", rest):
            faults.check(re.search(rf"^  {verb}\b", help_text, re.M), f"Dockerfile: ./dev has no verb '{verb}'")
        if word in ("CMD", "HEALTHCHECK"):
            match = re.search(r"\[.*\]", rest)
            arguments = yaml.safe_load(match.group(0))
            check_kindred(faults, f"Dockerfile {word}", [a for a in arguments if a != "kindred"])
        if "apt-get install" in rest:
            packages |= set(re.findall(r"\b(lib[\w.+-]+|zlib1g|ca-certificates)\b", rest))
    return packages


def check_libraries(faults, packages):
    """Each library the program is linked with directly is of a package the last stage installs."""
    binary = os.environ["KINDRED_BIN"]
    needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", binary).stdout)
    where = dict(re.findall(r"^\s*(\S+) => (\S+)", run("ldd", binary).stdout, re.M))
    for library in needed:
        if library not in where:
            continue
        real = os.path.realpath(where[library])
        owner = run("dpkg-query", "-S", real).stdout or run("dpkg-query", "-S", real.replace("/usr/lib", "/lib")).stdout
        package = owner.split(":")[0].strip()
        faults.check(not package or package in packages | DEV_ONLY,
                     f"Dockerfile: does not install {package}, which {library} needs")


def env_of(service):
    env = service.get("environment", {})
    return env if isinstance(env, dict) else dict(item.split("=", 1) for item in env)


def check_compose(faults):
    compose = yaml.safe_load(read("docker-compose.yml"))
    services = compose["services"]
    dev = read("dev")
    versions = dict(re.findall(r"^(kafka|registry)_version=(\S+)$", dev, re.M))
    for name in ("kafka", "registry", "kindred"):
        faults.check(name in services, f"docker-compose.yml: has no service '{name}'")
    faults.check(services["kafka"]["image"] == f"apache/kafka:{versions['kafka']}",
                 f"docker-compose.yml: kafka is not the version {versions['kafka']} that ./dev tests with")
    faults.check(services["registry"]["image"] == f"apicurio/apicurio-registry:{versions['registry']}",
                 f"docker-compose.yml: registry is not the version {versions['registry']} that ./dev tests with")
    faults.check(sum("demo" in s.get("profiles", []) for s in services.values()) >= 2,
                 "docker-compose.yml: the profile demo does not generate and tail")
    volumes = compose.get("volumes") or {}
    for name, service in services.items():
        where = f"docker-compose.yml {name}"
        faults.check(re.search(r":[\w.]+$", service.get("image", "")) or "build" in service,
                     f"{where}: neither built nor an image with its version")
        for other, how in (service.get("depends_on") or {}).items():
            faults.check(other in services, f"{where}: waits for '{other}', which is no service")
            if isinstance(how, dict) and how.get("condition") == "service_healthy" and "build" not in services[other]:
                faults.check("healthcheck" in services[other], f"{where}: {other} has no health to wait for")
        for volume in service.get("volumes") or []:
            source = volume.split(":")[0]
            if source.startswith("."):
                faults.check((ROOT / source).exists(), f"{where}: mounts {source}, which is not there")
            else:
                faults.check(source in volumes, f"{where}: the volume {source} is not declared")
        if "build" in service:
            build = service["build"]
            context = build if isinstance(build, str) else build["context"]
            faults.check((ROOT / context / "Dockerfile").is_file(), f"{where}: no Dockerfile in {context}")
        if "build" in service or service.get("image", "").startswith("kindred"):
            command = service.get("command")
            if command and "entrypoint" in service:
                for call in kindred_calls(words(command)[-1]):
                    check_kindred(faults, where, call)
            elif command:
                check_kindred(faults, where, words(command))
            for variable in env_of(service):
                if variable.startswith("KINDRED_"):
                    check_variable(faults, where, variable)


def check_variable(faults, where, variable):
    """KINDRED_USERCF_NEIGHBOURS stands for usercf.neighbours."""
    if not _names:
        _names.update(config_names())
    known = {"KINDRED_CONFIG"} | {"KINDRED_" + re.sub(r"[.-]", "_", name).upper() for name in _names}
    faults.check(variable in known, f"{where}: {variable} sets nothing")


def self_test():
    expect([w for w, _ in instructions("FROM a AS b\nRUN x && \\\n  y\n# USER root\nUSER u\n")] == ["FROM", "RUN", "USER"],
           "instructions")
    expect(list(kindred_calls("kindred generate --seed 1 | exec kindred produce -")) ==
           [["generate", "--seed", "1"], ["produce", "-"]], "kindred_calls")
    faults = Faults()
    check_kindred(faults, "x", ["no-such-verb"])
    check_kindred(faults, "x", ["run", "--no-such-option"])
    expect(len(faults) >= 2, "an unknown verb or option passes")


def main():
    self_test()
    Faults.checked = 0
    faults = Faults()
    packages = check_dockerfile(faults)
    check_libraries(faults, packages)
    check_compose(faults)
    done = kindred("config", "-c", "kindred.yaml")
    faults.check(done.returncode == 0, f"kindred.yaml: {done.stderr.strip()}")
    finish(faults, Faults.checked, "things named")


main()
