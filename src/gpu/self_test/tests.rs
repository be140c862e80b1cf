use super::*;

/// What a device without faults returns, with subgroups of 16.
fn sound(trial: &Trial) -> Vec<u32> {
    match trial.feature {
        None => integers(&trial.input),
        Some(Feature::Int64) => int64(&trial.input),
        Some(Feature::F64) => {
            let input: Vec<f64> = bytemuck::pod_collect_to_vec(&trial.input);
            let pairs = input.chunks_exact(2).map(|p| (p[0], p[1]));
            let results: Vec<f64> = pairs.flat_map(|(x, y)| [x * y, x + y, x / y]).collect();
            bytemuck::pod_collect_to_vec(&results)
        }
        Some(Feature::Subgroups) => {
            let mut output = Vec::new();
            for subgroup in trial.input.chunks(16) {
                let sum = subgroup.iter().fold(0_u32, |sum, &value| sum.wrapping_add(value));
                for lane in 0..16 {
                    let number = (output.len() / 7 / 16 % 8) as u32;
                    let reversed = subgroup[15 - lane as usize];
                    output.extend([16, 8, number, lane, sum, sum, reversed]);
                }
            }
            output
        }
    }
}

#[test]
fn sound_results_pass() {
    assert_eq!(judge(|trial| Ok(Some(sound(trial)))).unwrap(), []);
    assert_eq!(judge(|_| Ok(None)).unwrap(), []);
    for trial in trials() {
        assert_eq!(sound(&trial).len(), trial.words);
    }
}

#[test]
fn any_wrong_word_is_seen() {
    for trial in trials() {
        let sound = sound(&trial);
        for k in (0..sound.len()).step_by(5) {
            // The lowest words of quotients may differ by one.
            let mut wrong = sound.clone();
            wrong[k] ^= 2;
            assert!((trial.check)(&trial.input, &wrong).is_err(), "{:?} {k}", trial.feature);
        }
    }
}

#[test]
fn a_wrong_feature_is_refused_and_wrong_integers_refuse_the_device() {
    for wrong in [Feature::Int64, Feature::F64, Feature::Subgroups] {
        let refused = judge(|trial| {
            let mut output = sound(trial);
            if trial.feature == Some(wrong) {
                output[70] ^= 1 << 9;
            }
            Ok(Some(output))
        });
        let features: Vec<Feature> = refused.unwrap().iter().map(|r| r.feature).collect();
        assert_eq!(features, [wrong]);
    }
    let failing = judge(|trial| match trial.feature {
        Some(Feature::F64) => Err(Error::device("no such instruction")),
        _ => Ok(Some(sound(trial))),
    });
    assert_eq!(failing.unwrap()[0].reason, "no such instruction");
    let refused = judge(|trial| {
        let mut output = sound(trial);
        output[3] ^= 1;
        Ok(Some(output))
    });
    let message = refused.unwrap_err().to_string();
    assert!(message.starts_with("word 3: expected 0x"), "{message}");
}

#[test]
fn a_quotient_may_be_off_by_one_unit_in_the_last_place() {
    let [.., trial, _] = trials();
    let mut output = sound(&trial);
    let change = |words: &mut [u32], by: u64| {
        let bits = u64::from(words[0]) | u64::from(words[1]) << 32;
        words.copy_from_slice(&super::words(bits + by));
    };
    change(&mut output[4..6], 1);
    assert_eq!((trial.check)(&trial.input, &output), Ok(()));
    change(&mut output[4..6], 1);
    assert!((trial.check)(&trial.input, &output).is_err());
    change(&mut output[0..2], 1);
    assert!((trial.check)(&trial.input, &output).is_err());
}
