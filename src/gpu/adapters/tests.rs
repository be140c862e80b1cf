use super::*;

fn adapter(name: &str, kind: Kind) -> Adapter {
    Adapter {
        index: 0,
        name: name.to_owned(),
        kind,
        backend: "vulkan",
        driver: String::new(),
        driver_info: String::new(),
        vendor: 0,
        device: 0,
        software: kind == Kind::Cpu || is_software(name),
        memory_bytes: None,
        abilities: Abilities { f64: true, int64: true, f16: true, subgroups: None },
        limits: AdapterLimits {
            storage_binding_bytes: 1 << 27,
            buffer_bytes: 1 << 28,
            workgroups_per_dimension: 65_535,
            storage_buffers_per_stage: 8,
            workgroup_invocations: 256,
        },
        auto: Verdict { chosen: false, reason: String::new() },
    }
}

fn machine(adapters: &[(&str, Kind)]) -> Vec<Adapter> {
    let adapters = adapters.iter().enumerate();
    adapters.map(|(index, (name, kind))| Adapter { index, ..adapter(name, *kind) }).collect()
}

fn options(name: Option<&str>, allow_software: bool) -> Options {
    Options { adapter: name.map(str::to_owned), allow_software, ..Options::default() }
}

fn everything() -> Vec<Adapter> {
    machine(&[
        ("llvmpipe (LLVM 15.0.6, 256 bits)", Kind::Cpu),
        ("Virtio-GPU Venus", Kind::Virtual),
        ("Intel(R) UHD Graphics 630", Kind::Integrated),
        ("NVIDIA GeForce RTX 3060", Kind::Discrete),
        ("NVIDIA GeForce GTX 1080", Kind::Discrete),
    ])
}

#[track_caller]
fn assert_fails(result: Result<usize>, parts: &[&str]) {
    let Err(Error::Device(message)) = result else { panic!("{result:?}") };
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn the_best_is_discrete_then_integrated_then_any_but_software() {
    let mut adapters = everything();
    for (expected, removed) in [(3, 3), (4, 3), (2, 2), (1, 1)] {
        let chosen = choose(&adapters, &options(None, true)).unwrap();
        assert_eq!(adapters[chosen].name, everything()[expected].name);
        adapters.remove(removed);
        adapters.iter_mut().enumerate().for_each(|(index, a)| a.index = index);
    }
    assert_fails(choose(&adapters, &options(None, false)), &["only 0: llvmpipe", "--adapter"]);
    assert_eq!(choose(&adapters, &options(None, true)).unwrap(), 0);
    assert_eq!(choose(&adapters, &options(Some("llvm"), false)).unwrap(), 0);
}

#[test]
fn software_is_known_by_its_name_too() {
    let names = ["SwiftShader Device (LLVM)", "Microsoft Basic Render Driver", "lavapipe"];
    for name in names {
        let adapters = machine(&[(name, Kind::Other)]);
        assert_fails(choose(&adapters, &options(None, false)), &[name]);
    }
}

#[test]
fn names_are_parts_in_any_case_or_indices() {
    let adapters = everything();
    let chosen = |name| choose(&adapters, &options(Some(name), false));
    assert_eq!(chosen("rtx").unwrap(), 3);
    assert_eq!(chosen(" 4 ").unwrap(), 4);
    assert_eq!(chosen("1080").unwrap(), 4);
    assert_fails(chosen("geforce"), &["`geforce`", "3: NVIDIA", "4: NVIDIA"]);
    assert_fails(chosen("radeon"), &["`radeon`", "0: llvmpipe", "2: Intel(R) UHD Graphics 630 ("]);
    assert_fails(chosen("5"), &["`5`", "an index"]);
    assert_fails(chosen(" "), &["an index"]);
    assert_fails(choose(&[], &options(Some("rtx"), true)), &["libvulkan1"]);
}

#[test]
fn equal_names_are_one_adapter_and_vulkan_is_preferred() {
    let mut adapters = machine(&[("Radeon", Kind::Discrete), ("Radeon", Kind::Discrete)]);
    adapters[0].backend = "dx12";
    assert_eq!(choose(&adapters, &options(Some("radeon"), false)).unwrap(), 1);
    assert_eq!(choose(&adapters, &options(None, false)).unwrap(), 1);
}

#[test]
fn adapters_too_small_for_the_shaders_are_not_used() {
    let mut adapters = machine(&[("Old", Kind::Discrete), ("New", Kind::Integrated)]);
    adapters[0].limits.storage_buffers_per_stage = 4;
    assert_eq!(choose(&adapters, &options(None, false)).unwrap(), 1);
    let needs = "it has 4 storage buffers per shader, 8 are needed";
    assert_fails(choose(&adapters, &options(Some("old"), false)), &["Old: ", needs]);
    explain(&mut adapters, &options(None, false)).unwrap();
    assert_eq!(adapters[0].auto.reason, needs);
}

#[test]
fn every_adapter_is_explained() {
    let mut adapters = everything();
    explain(&mut adapters, &options(None, true)).unwrap();
    let verdicts: Vec<_> = adapters.iter().map(|a| (a.auto.chosen, &*a.auto.reason)).collect();
    assert!(verdicts[0].1.starts_with("it is software"), "{verdicts:?}");
    assert_eq!(verdicts[2], (false, "adapter 3, discrete, is preferred"));
    assert_eq!(verdicts[3], (true, "it is the first discrete adapter"));

    explain(&mut adapters, &options(Some("llvm"), false)).unwrap();
    assert_eq!((adapters[0].auto.chosen, adapters[3].auto.chosen), (true, false));
    assert_eq!(adapters[0].auto.reason, "it is named by `llvm`");
    assert!(explain(&mut adapters, &options(Some("nothing"), false)).is_err());
    assert!(explain(&mut [], &options(None, false)).is_ok());
}
